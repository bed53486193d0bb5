"""A service behind a proxy that verifies what forward auth vouches for, with Authlib:
python verify.py ISSUER AUDIENCE < token. It prints the verified header and claims."""
import json
import sys

import requests
from authlib.jose import JsonWebKey, JsonWebToken

issuer, audience = sys.argv[1:]
metadata = requests.get(issuer + "/.well-known/openid-configuration", timeout=10).json()
keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
claims = JsonWebToken(["ES256"]).decode(sys.stdin.read().strip(), keys, claims_options={
    "iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}, "exp": {"essential": True}})
claims.validate()
# RFC 8725 §3.11: an access token is another thing.
if claims.header["typ"] != "auth+jwt":
    raise ValueError("it is a " + claims.header["typ"])
print(json.dumps({"header": claims.header, "claims": claims}))
