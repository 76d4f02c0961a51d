"""Speaks SMTP step by step.
usage: smtp.py HOST PORT plain|starttls|tls STEP...
Steps: helo, plain:PASSWORD and login:PASSWORD (AUTH), mail:BYTES, mail:BYTES:RECIPIENT, rcpt:N (to unknown
users), vrfy, noop, wait:SECONDS, drop (closes without QUIT). A refused AUTH is no reason to stop.
It connects from the address in $FROM, if that is set."""
import base64, os, smtplib, ssl, sys, time

host, port, security, *steps = sys.argv[1:]
source = (os.environ['FROM'], 0) if 'FROM' in os.environ else None
context = ssl._create_unverified_context()
smtp = smtplib.SMTP_SSL(context=context, local_hostname='client.example.test', timeout=30, source_address=source) if security == 'tls' else smtplib.SMTP(local_hostname='client.example.test', timeout=30, source_address=source)
smtp._host = host

smtp.connect(host, int(port))
if security == 'starttls':
    smtp.ehlo()
    smtp.starttls(context=context)
if 'helo' not in steps and steps != ['quit']:
    smtp.ehlo()


def b64(text):
    return base64.b64encode(text.encode()).decode()


def act(step):
    name, _, rest = step.partition(':')
    if name == 'plain':
        smtp.docmd('AUTH', 'PLAIN ' + b64('\0alice\0' + rest))
    elif name == 'login':
        if smtp.docmd('AUTH', 'LOGIN')[0] == 334 and smtp.docmd(b64('alice'))[0] == 334:
            smtp.docmd(b64(rest))
    elif name == 'mail':
        size, _, to = rest.partition(':')
        smtp.mail('sender@client.example.test')
        code, _ = smtp.rcpt(to or 'alice@example.test')
        if code == 250:
            line = 'lorem ipsum dolor sit amet consectetur adipiscing elit sed do eius\r\n'
            smtp.data('Subject: test\r\nFrom: sender@client.example.test\r\n\r\n' + line * (int(size) // len(line)))
        else:
            smtp.rset()
    elif name == 'rcpt':
        smtp.mail('sender@client.example.test')
        for i in range(int(rest)):
            smtp.rcpt('user%d@elsewhere.test' % i)
    elif name == 'vrfy':
        smtp.verify('alice')
    elif name == 'noop':
        smtp.noop()
    elif name == 'wait':
        time.sleep(float(rest))
    elif name == 'helo':
        smtp.helo()


try:
    for step in steps:
        if step == 'drop':
            smtp.close()
            sys.exit(0)
        act(step)
    smtp.quit()
except smtplib.SMTPServerDisconnected:
    pass
