#!/bin/sh
# What ssh asks for a password: prints the next line of $PASSWORDS each time.
head -n 1 "$PASSWORDS"
sed -i 1d "$PASSWORDS"
