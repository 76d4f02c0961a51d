"""Carries Ethernet frames between two interfaces, each frame so many milliseconds late, in order.
usage: delay.py INTERFACE INTERFACE MILLISECONDS"""
import collections, select, socket, sys, time

names, delay = sys.argv[1:3], float(sys.argv[3]) / 1000
sockets = []
for name in names:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 0))
    s.setsockopt(263, 1, socket.if_nametoindex(name).to_bytes(4, 'little') + (1).to_bytes(2, 'little') + bytes(10))
    s.setblocking(False)
    sockets.append(s)
waiting = collections.deque()
print('ready', flush=True)
while True:
    timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    readable, _, _ = select.select(sockets, [], [], timeout)
    for s in readable:
        for _ in range(64):
            try:
                frame, address = s.recvfrom(65536)
            except BlockingIOError:
                break
            # 4: what goes out there, and not what comes in.
            if address[2] != 4:
                waiting.append((time.monotonic() + delay, sockets[1 - sockets.index(s)], frame))
    while waiting and waiting[0][0] <= time.monotonic():
        _, to, frame = waiting.popleft()
        try:
            to.send(frame)
        except OSError:
            pass
