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

# is_installed EXTRA: whether the extra, or for none anything, was installed since what is needed last changed.
is_installed() {
  for stamp in .venv/installed-"$1"*; do
    [ -e "$stamp" ] && [ -z "$(find pyproject.toml services scripts tests \( -name pyproject.toml -o -name requirements.txt -o -name no-deps.txt \) -newer "$stamp")" ] && return
  done
  return 1
}

# ensure_venv ROOT EXTRA: makes ROOT/.venv and installs Talkie with the extra, unless that is done already.
ensure_venv() {
  (
    cd "$1"
    exec 9>".venv.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    # A checkout that was moved, or whose Python is gone, has a .venv full of wrong paths.
    if ! .venv/bin/python -c '' 2>/dev/null || ! grep -qF "$1/.venv" .venv/bin/activate; then
      python=$(find_python)
      echo "Making .venv with $python ..." >&2
      [ ! -L .venv ] || rm .venv # it may be another checkout's, which --clear would empty
      "$python" -m venv --clear .venv
    fi
    if ! is_installed "$2"; then
      echo "Installing (once; about a minute) ..." >&2
      .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${2:+[$2]}" >&2
      case "$2" in
        qwen | dev) .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
          --requirement services/tts/engines/qwen3/no-deps.txt >&2 ;;
      esac
      .venv/bin/python -m compileall -q services # an editable install does not, and it halves the start
      touch ".venv/installed-${2:-base}"
    fi
  )
}
