#!/usr/bin/env bash
# What a pull request changes about the recovery: every runbook that it changes is checked, planned
# offline, and compared with its plan before. Looks at nothing outside, needs no credential.
#
#   ci/plan-changed.sh BASE ENVIRONMENT OUT
#
# BASE         the commit or branch that the change goes into
# ENVIRONMENT  the environment's file, as in environments/prod.yaml
# OUT          a folder for reports: *.xml (JUnit), drctl.sarif, plans, and comment.md, which says
#              what the change does to each recovery
#
# DRCTL_OUTPUT=github makes annotations and a step summary of it. A runbook that must be given inputs
# gets them from ci/inputs/NAME, one name=value on each line. Exits with the worst of what drctl said:
# 3 for a runbook that is not valid, 8 for one that misses its RTO, or breaks another rule.
set -euo pipefail

base=$(git merge-base "$1" HEAD)
environment=$2
mkdir -p "$3"
out=$(cd "$3" && pwd)
output=${DRCTL_OUTPUT:-text}
runbooks=':(glob)runbooks/*.yaml'
worst=0

# Runs a command and remembers the worst exit code, so that all is reported before the job fails.
run() {
  local code=0
  "$@" || code=$?
  if (( code > worst )); then worst=$code; fi
}

# Names may hold anything: they are read with a zero byte between them, and never by the shell.
changed=()
if git diff --quiet "$base" HEAD -- "$environment"; then
  mapfile -d '' changed < <(git diff -z --name-only --diff-filter=d "$base" HEAD -- "$runbooks")
fi
if (( ${#changed[@]} )); then
  # What includes a changed runbook is changed too.
  mapfile -d '' including < <(git grep -lz -e 'uses: *runbook\.run' HEAD -- "$runbooks" || true)
  for file in "${including[@]#HEAD:}"; do
    for inner in "${changed[@]}"; do
      if git grep -qF -e "$(basename "$inner" .yaml)" HEAD -- ":(literal)$file"; then
        changed+=("$file")
        break
      fi
    done
  done
elif ! git diff --quiet "$base" HEAD -- "$environment"; then
  mapfile -d '' changed < <(git ls-files -z -- "$runbooks")
fi
# A recovery that is no longer there, and files that nothing here reads, are told and stop nothing.
: > "$out/comment.md"
notice() {
  printf '%s\n\n' "$1" >> "$out/comment.md"
  if [[ $output == github ]]; then printf '::warning::%s\n' "$1"; else printf '%s\n' "$1"; fi
}
mapfile -d '' gone < <(git diff -z --name-only --diff-filter=D "$base" HEAD -- "$runbooks")
for file in "${gone[@]}"; do notice "❌ a recovery is gone: $(printf '%q' "$file")"; done
mapfile -d '' strange < <(git diff -z --name-only --diff-filter=d "$base" HEAD -- \
  ':(glob)runbooks/*/**/*.y*ml' ':(glob)runbooks/*/*.y*ml' ':(glob)runbooks/*.yml')
for file in "${strange[@]}"; do
  notice "⚠️ not read, since drctl finds runbooks as runbooks/NAME.yaml: $(printf '%q' "$file")"
done
if (( ! ${#changed[@]} )); then
  if [[ ! -s "$out/comment.md" ]]; then
    rm "$out/comment.md"
    echo "no runbook is changed"
  fi
  exit 0
fi
mapfile -d '' changed < <(printf '%s\0' "${changed[@]}" | sort -zu)

run drctl validate -e "$environment" -o "$output" \
  --junit "$out/validate.xml" --sarif "$out/drctl.sarif" -- "${changed[@]}"
all_are_valid=$(( worst == 0 || worst == 8 ))

# The files as they were, beside the ones that are here.
before=$(mktemp -d)
trap 'git worktree remove --force "$before/tree"; rmdir "$before"' EXIT
git worktree add --quiet --detach "$before/tree" "$base"

for file in "${changed[@]}"; do
  name=$(basename "$file" .yaml)
  rm -f "$out/$name.json" "$out/$name.before.json"
  given=()
  if [[ -f "ci/inputs/$name" ]]; then
    while IFS= read -r line; do given+=(-i "$line"); done < "ci/inputs/$name"
  fi
  # What is wrong with it was said above, once. What a rule finds (8) does not keep it from a plan.
  code=0
  if (( ! all_are_valid )); then
    drctl validate -e "$environment" -- "$file" > /dev/null 2>&1 || code=$?
  fi
  if (( code != 0 && code != 8 )); then continue; fi
  run drctl plan -e "$environment" --offline "${given[@]}" -o "$output" \
    --junit "$out/plan-$name.xml" --out "$out/$name.json" -- "$file"
  if [[ ! -f "$out/$name.json" ]]; then continue; fi
  (cd "$before/tree" && drctl plan -e "$environment" --offline "${given[@]}" -o json \
    --out "$out/$name.before.json" -- "$file" > /dev/null 2>&1) || true
  if [[ ! -f "$out/$name.before.json" ]]; then
    printf '%q: there was no plan of it before\n' "$file"
    continue
  fi
  run drctl plan diff -o github "$out/$name.before.json" "$out/$name.json" >> "$out/comment.md"
done
if [[ ! -s "$out/comment.md" ]]; then rm "$out/comment.md"; fi
exit "$worst"
