"""Logs in as programs do that use paramiko or asyncssh.
usage: ssh-login.py paramiko|asyncssh HOST USER KEY|- COMMAND PASSWORD...
Tries the key, then each password in one connection; runs COMMAND once it is in: `-` for nothing, `sftp` for a list of
files, or commands with ` && ` between them, each in a channel of its own. Only the last is for asyncssh too. Exit status 1: it never was."""
import asyncio, sys

library, host, user, key, command, *passwords = sys.argv[1:]


def with_paramiko():
    import paramiko

    transport = paramiko.Transport((host, 22))
    transport.start_client(timeout=20)
    tries = [lambda: transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))] if key != '-' else []
    tries += [lambda p=p: transport.auth_password(user, p, fallback=False) for p in passwords]
    for attempt in tries:
        try:
            attempt()
            break
        except paramiko.AuthenticationException:
            pass
    if transport.is_authenticated():
        if command == 'sftp':
            paramiko.SFTPClient.from_transport(transport).listdir('.')
        for each in [] if command in ('-', 'sftp') else command.split(' && '):
            channel = transport.open_session()
            channel.exec_command(each)
            while channel.recv(65536):
                pass
            channel.recv_exit_status()
    ok = transport.is_authenticated()
    transport.close()
    return ok


async def with_asyncssh():
    import asyncssh

    waiting = list(passwords)

    class Client(asyncssh.SSHClient):
        def password_auth_requested(self):
            return waiting.pop(0) if waiting else None

    try:
        keys = [key] if key != '-' else None
        options = dict(username=user, known_hosts=None, config=None, client_keys=keys, agent_path=None)
        async with asyncssh.connect(host, client_factory=Client, **options) as connection:
            await connection.run(command)
            return True
    except asyncssh.Error:
        return False


ok = with_paramiko() if library == 'paramiko' else asyncio.run(with_asyncssh())
sys.exit(0 if ok else 1)
