"""Sends the packets of a capture (pcap, Ethernet, little-endian) as they are, fragments too, 2,000 a second.
What the capturing host had already put together, so that no Ethernet carries it, is left out.

usage: send-frames.py CAPTURE INTERFACE DESTINATION_MAC
"""

import socket
import struct
import sys
import time

path, interface, destination = sys.argv[1:]
with open(path, "rb") as capture:
    file = capture.read()
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
to = bytes.fromhex(destination.replace(":", ""))
own = wire.getsockname()[4]
at = 24
while at < len(file):
    _, _, length, _ = struct.unpack_from("<IIII", file, at)
    frame = file[at + 16 : at + 16 + length]
    at += 16 + length
    if length <= 1514:
        wire.send(to + own + frame[12:])
        time.sleep(0.0005)
