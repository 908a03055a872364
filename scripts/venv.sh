# Sourced by the other scripts: keeps .venv in step with pyproject.toml.

# find_python: prints the first Python that Talkie runs on.
find_python() {
  for candidate in python3.12 python3.11 python3.10 python3; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Talkie needs Python 3.10 to 3.13 with venv (on Debian: apt install python3-venv)." >&2
  return 1
}

# ensure_venv ROOT EXTRA: makes ROOT/.venv and installs Talkie with the extra, unless that is done already.
ensure_venv() {
  (
    cd "$1"
    exec 9>".venv.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    stamp=".venv/installed${2:+-$2}"
    [ -e "$stamp" ] && [ -z "$(find pyproject.toml services/*/requirements.txt -newer "$stamp")" ] && exit 0
    [ -x .venv/bin/python ] || {
      echo "Making .venv ..." >&2
      "$(find_python)" -m venv .venv
    }
    echo "Installing (once; about a minute) ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${2:+[$2]}" >&2
    touch "$stamp"
  )
}
