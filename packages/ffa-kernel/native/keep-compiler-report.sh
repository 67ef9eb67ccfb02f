#!/bin/sh
# Runs a compiler command and keeps its report beside the object file, as <object>.log. What ptxas says about registers is not
# repeated; warnings and errors are.
previous=
for argument in "$@"; do
  if [ "$previous" = -o ]; then object=$argument; fi
  previous=$argument
done
if [ -z "$object" ]; then exec "$@"; fi
"$@" 2>"$object.log"
status=$?
grep -v -e '^ptxas info' -e 'bytes stack frame' "$object.log" >&2
exit $status
