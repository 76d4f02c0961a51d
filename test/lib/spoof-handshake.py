"""Pretends to complete a TCP handshake in the name of somebody else, by an acknowledgement that only nearly fits.

usage: spoof-handshake.py SERVER PORT FORGED_SOURCE INTERFACE SERVER_MAC

Its host must be able to see the SYN-ACK, from which a real attacker would have to be lucky. Writes the number of
resets that the server answered with.
"""

import socket
import struct
import sys
import time

server, port, forged, interface, mac = sys.argv[1:]
SPORT = 41234
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind((interface, 0))
wire.settimeout(2)
ethernet = bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4] + b"\x08\x00"


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def send(flags, sequence, acknowledged):
    source, target = socket.inet_aton(forged), socket.inet_aton(server)
    tcp = struct.pack(">HHIIBBHHH", SPORT, int(port), sequence, acknowledged, 5 << 4, flags, 64240, 0, 0)
    pseudo = source + target + struct.pack(">HH", 6, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    wire.send(ethernet + ip + tcp)


def answer():
    """Flags and sequence number of the next segment that the server sends."""
    while True:
        frame = wire.recv(2048)[14:]
        if len(frame) < 40 or frame[9] != 6 or frame[12:16] != socket.inet_aton(server):
            continue
        tcp = frame[(frame[0] & 15) * 4 :]
        if struct.unpack(">H", tcp[2:4])[0] == SPORT:
            return tcp[13], struct.unpack(">I", tcp[4:8])[0]


send(0x02, 1000, 0)
flags, sequence = answer()
send(0x10, 1001, (sequence + 1 - 500) % 2**32)
resets, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    try:
        resets += (answer()[0] >> 2) & 1
        break
    except TimeoutError:
        break
print(resets)
