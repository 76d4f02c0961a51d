"""Sends the IP packets of a capture (pcap, Ethernet, little-endian) in its own time, with right checksums.

usage: send-capture.py CAPTURE INTERFACE DESTINATION_MAC
"""

import socket
import struct
import sys
import time

path, interface, destination = sys.argv[1:]
TCP, UDP = 6, 17
# Where the checksum is in each header.
CHECKSUM_AT = {TCP: 16, UDP: 6}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def with_checksums(packet):
    packet = bytearray(packet)
    is_v4 = packet[0] >> 4 == 4
    header = 20 if is_v4 else 40
    protocol = packet[9 if is_v4 else 6]
    addresses = bytes(packet[12:20] if is_v4 else packet[8:40])
    if is_v4:
        packet[10:12] = b"\0\0"
        packet[10:12] = struct.pack(">H", checksum(bytes(packet[:20])))
    at = header + CHECKSUM_AT[protocol]
    packet[at : at + 2] = b"\0\0"
    body = bytes(packet[header:])
    pseudo = addresses + struct.pack(">II", len(body), protocol)
    packet[at : at + 2] = struct.pack(">H", checksum(pseudo + body) or 0xFFFF)
    return bytes(packet)


def frames(file):
    at = 24
    while at < len(file):
        seconds, micros, length, _ = struct.unpack_from("<IIII", file, at)
        frame = file[at + 16 : at + 16 + length]
        yield seconds + micros / 1e6, frame[12:14], with_checksums(frame[14:])
        at += 16 + length


with open(path, "rb") as capture:
    packets = list(frames(capture.read()))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
to = bytes.fromhex(destination.replace(":", ""))
own = wire.getsockname()[4]
offset = time.monotonic() - packets[0][0]
for at, ether_type, packet in packets:
    time.sleep(max(0, at + offset - time.monotonic()))
    wire.send(to + own + ether_type + packet)
