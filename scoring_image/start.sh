#!/bin/sh
# Starts the scoring server as a user of its own: where the Functions host is root, the model must not be.
if [ "$(id -u)" -eq 0 ]; then
    exec setpriv --reuid scoring --regid scoring --clear-groups --no-new-privs python -m scoring
fi
exec python -m scoring
