#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "$GREETING"
echo "opened $(wget -q -O - http://store:7000/openings | wc -l) times"
echo "signed with a key of $(wc -c </run/secrets/signing_key) bytes"
