import { execFileSync } from 'node:child_process'
import { goFirst } from '../../../dist/kernel/go-first.js'

/** nice and nanoseconds of a turn of a thread, by sched_getattr(2). */
const SCHEDULING = `
import ctypes, json, platform, struct, sys
number = {'x86_64': 315, 'aarch64': 275}[platform.machine()]
attributes = ctypes.create_string_buffer(48)
if ctypes.CDLL(None, use_errno=True).syscall(number, int(sys.argv[1]), attributes, 48, 0) != 0:
    sys.exit(f'sched_getattr: errno {ctypes.get_errno()}')
_, _, _, nice, _, turn, _, _ = struct.unpack('=IIQiIQQQ', attributes)
print(json.dumps({'nice': nice, 'turn': turn}))
`

goFirst()
const args = ['-c', SCHEDULING, `${process.pid}`]
process.stdout.write(execFileSync('python3', args, { encoding: 'utf8', env: { PATH: process.env.PATH } }))
