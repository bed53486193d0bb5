// The set-up link carries its code in the fragment, which browsers send to nobody. This puts it
// into the field. Without it, the code is typed.
(function () {
	var code = location.hash.slice(1), field = document.getElementById("code");
	if (!code) return;
	field.value = code;
	history.replaceState(null, "", location.pathname); // not for the history
	document.getElementById("username").focus();
})();
