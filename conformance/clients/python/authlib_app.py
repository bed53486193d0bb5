"""An application on Authlib: python authlib_app.py PORT ISSUER CLIENT_ID CLIENT_SECRET"""
import json
import os
import sys
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the test's issuer is plain http on loopback

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt

port, issuer, client_id, client_secret = sys.argv[1:]
here = f"http://127.0.0.1:{port}"
metadata = requests.get(issuer + "/.well-known/openid-configuration", timeout=10).json()
session = OAuth2Session(client_id, client_secret, scope="openid profile email", redirect_uri=here + "/callback",
                        code_challenge_method="S256", token_endpoint_auth_method="client_secret_basic")
pending = {}


class App(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            if self.path == "/":
                pending.update(verifier=generate_token(48), nonce=generate_token(20))
                url, pending["state"] = session.create_authorization_url(
                    metadata["authorization_endpoint"], code_verifier=pending["verifier"], nonce=pending["nonce"])
                self.send_response(302)
                self.send_header("Location", url)
                self.end_headers()
                return
            token = session.fetch_token(metadata["token_endpoint"], authorization_response=here + self.path,
                                        state=pending["state"], code_verifier=pending["verifier"])
            keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
            claims = jwt.decode(token["id_token"], keys, claims_options={
                "iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}})
            claims.validate()
            if claims["nonce"] != pending["nonce"]:
                raise ValueError("another nonce")
            user = session.get(metadata["userinfo_endpoint"]).json()
            self.answer(200, json.dumps({"sub": claims["sub"], "email": user["email"]}))
        except Exception:
            self.answer(500, traceback.format_exc())

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", int(port)), App)
print("READY", flush=True)
server.serve_forever()
