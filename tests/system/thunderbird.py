# SPDX-License-Identifier: ISC
"""Thunderbird without a screen, told what to do through Marionette.

    with Thunderbird(directory) as t:
        t.trust(ca)
        t.account("imap", "bob@example.test", "builder", port, TLS, smtp_port)
        t.js("return MailServices.accounts.accounts.length")

Marionette is Mozilla's remote control: packets "length:json" over TCP.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mailusers import TIMEOUT  # noqa: E402
from instance import free_port  # noqa: E402

PLAIN, STARTTLS, TLS = 0, 2, 3		# nsMsgSocketType
WAIT_S = TIMEOUT * 2			# for one step of a user

PREFS = """\
user_pref("marionette.port", %(port)d);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mail.spotlight.firstRunDone", true);
user_pref("mail.rights.version", 1);
user_pref("mailnews.start_page.enabled", false);
user_pref("mailnews.offline_sync_mail", false);
user_pref("app.update.enabled", false);
user_pref("app.donation.eoy.version.viewed", 9999);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.proxy.type", 0);
user_pref("calendar.timezone.local", "UTC");
"""

# What every script may use.  until() waits for a condition, done() makes a
# listener whose promise ends when the action does.
PRELUDE = """
const {MailServices} = ChromeUtils.importESModule(
    "resource:///modules/MailServices.sys.mjs");
const win = Services.wm.getMostRecentWindow("mail:3pane");
const sleep = ms => new Promise(r => win.setTimeout(r, ms));
const until = async (what, f) => {
    for (const end = Date.now() + WAIT_MS; Date.now() < end; await sleep(50)) {
        const v = await f();
        if (v) return v;
    }
    throw new Error("never: " + what);
};
const check = s => { if (!Components.isSuccessCode(s))
    throw new Error("status 0x" + (s >>> 0).toString(16)); };
const done = () => {
    const l = {QueryInterface: ChromeUtils.generateQI(["nsIUrlListener",
        "nsIMsgCopyServiceListener", "nsIMsgSendListener"])};
    l.promise = new Promise((resolve, reject) => {
        const end = s => { try { check(s); resolve(); }
            catch (e) { reject(e); } };
        l.OnStartRunningUrl = l.onStartCopy = l.onProgress =
            l.setMessageKey = l.getMessageId = l.onStartSending =
            l.onSendProgress = l.onStatus = l.onGetDraftFolderURI =
            l.onSendNotPerformed = l.onTransportSecurityError = () => {};
        l.OnStopRunningUrl = (url, s) => end(s);
        l.onStopCopy = end;
        l.onStopSending = (id, s) => { l.sent = s; if (!l.copies) end(s); };
    });
    return l;
};
const server = i => MailServices.accounts.accounts[i || 0].incomingServer;
const folder = name => {
    const root = server().rootFolder;
    const f = root.descendants.find(f => f.name.toLowerCase() ==
        name.toLowerCase());
    return f;
};
// A folder that is being read already does not tell its listener.
const refresh = async f => {
    const l = done();
    f.QueryInterface(Ci.nsIMsgImapMailFolder)
        .updateFolderWithListener(null, l);
    await Promise.race([l.promise, sleep(2000)]);
};
const subjects = f => [...f.messages].map(h => h.subject).sort();
const find = (f, subject) => [...f.messages].find(h => h.subject == subject);
"""


class Thunderbird:
    """profile: an empty directory for it, its home, too."""

    def __init__(self, profile):
        self.dir = profile
        self.port = free_port()
        self.id = 0
        os.makedirs(profile, exist_ok=True)
        with open(f"{profile}/user.js", "w", encoding="ascii") as f:
            f.write(PREFS % {"port": self.port})

    def __enter__(self):
        self.program = subprocess.Popen(
            ["thunderbird", "--headless", "--marionette",
             "-remote-allow-system-access", "--profile", self.dir],
            env=dict(os.environ, HOME=self.dir, MOZ_LOG="IMAP:4,POP3:4,SMTP:4,"
                     "timestamp,sync", MOZ_LOG_FILE=f"{self.dir}/log"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            self.connect()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def connect(self):
        end = time.monotonic() + WAIT_S
        while True:
            try:
                self.socket = socket.create_connection(
                    ("127.0.0.1", self.port))
                break
            except OSError:
                assert time.monotonic() < end, "Thunderbird does not start"
                time.sleep(0.2)
        self.socket.settimeout(WAIT_S * 2)
        self.file = self.socket.makefile("rb")
        self.packet()
        self.call("WebDriver:NewSession", {})
        self.call("Marionette:SetContext", {"value": "chrome"})
        self.call("WebDriver:SetTimeouts", {"script": WAIT_S * 1500})
        self.js('await until("the window", () => win && win.document'
                '.readyState == "complete"); return 0')

    def __exit__(self, *_):
        try:
            os.killpg(self.program.pid, signal.SIGTERM)
            self.program.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            os.killpg(self.program.pid, signal.SIGKILL)
            self.program.wait()

    def packet(self):
        length = b""
        while (c := self.file.read(1)) != b":":
            assert c, "Thunderbird has gone"
            length += c
        return json.loads(self.file.read(int(length)))

    def call(self, command, parameters):
        self.id += 1
        packet = json.dumps([0, self.id, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(packet), packet))
        answer = self.packet()
        if answer[2]:
            raise AssertionError(answer[2]["message"])
        return answer[3]

    def js(self, script, *args):
        """The value that script, with args and PRELUDE, returns."""
        prelude = PRELUDE.replace("WAIT_MS", str(int(WAIT_S * 1000)))
        value = self.call("WebDriver:ExecuteAsyncScript", {
            "script": "const end = arguments[arguments.length - 1];"
            "const args = [...arguments].slice(0, -1);"
            f"(async () => {{ {prelude} {script} }})().then("
            "v => end({value: v === undefined ? null : v}),"
            "e => end({error: String(e) + ' ' + (e && e.stack || '')}));",
            "args": args, "newSandbox": True, "sandbox": "system"})["value"]
        if "error" in value:
            raise AssertionError(f"{script}: {value['error']}")
        return value["value"]

    def trust(self, ca):
        """Makes the certificate in the file ca a trusted CA."""
        with open(ca, encoding="ascii") as f:
            pem = re.search("-----BEGIN CERTIFICATE-----(.*?)-----END",
                            f.read(), re.S).group(1)
        self.js('Cc["@mozilla.org/security/x509certdb;1"].getService('
                'Ci.nsIX509CertDB).addCertFromBase64(args[0], "C,C,C");',
                "".join(pem.split()))

    def account(self, kind, user, password, port, security, smtp_port,
                smtp_security):
        """An account of "imap" or "pop3" at localhost."""
        self.js("""
const [kind, user, password, port, security, smtpPort, smtpSecurity] = args;
const s = MailServices.accounts.createIncomingServer(user, "localhost", kind);
s.port = port; s.socketType = security; s.authMethod = 3;
s.password = password; s.valid = true; s.loginAtStartUp = s.doBiff = false;
if (kind == "pop3") {
    s.QueryInterface(Ci.nsIPop3IncomingServer).leaveMessagesOnServer = true;
    s.deleteMailLeftOnServer = true;
}
const o = MailServices.outgoingServer.createServer("smtp");
o.QueryInterface(Ci.nsISmtpServer);
o.hostname = "localhost"; o.port = smtpPort; o.socketType = smtpSecurity;
o.authMethod = 3; o.username = user; o.password = password;
const id = MailServices.accounts.createIdentity();
id.email = user; id.fullName = "A user"; id.valid = true;
id.smtpServerKey = o.key;
const a = MailServices.accounts.createAccount();
a.addIdentity(id); a.incomingServer = s;
for (const at of [(kind == "imap" ? "imap" : "mailbox") + "://localhost",
    "smtp://localhost"]) {
    const l = Cc["@mozilla.org/login-manager/loginInfo;1"]
        .createInstance(Ci.nsILoginInfo);
    l.init(at, null, at, user, password, "", "");
    await Services.logins.addLoginAsync(l);
}
""", kind, user, password, port, security, smtp_port, smtp_security)

    def send(self, to, subject, body):
        """Composes a text in the first account, sends it, files it in Sent."""
        self.js("""
const a = MailServices.accounts.accounts[0], id = a.defaultIdentity;
const fields = Cc["@mozilla.org/messengercompose/composefields;1"]
    .createInstance(Ci.nsIMsgCompFields);
fields.from = id.email; fields.to = args[0]; fields.subject = args[1];
const send = Cc["@mozilla.org/messengercompose/send;1"]
    .createInstance(Ci.nsIMsgSend);
const file = Services.dirsvc.get("TmpD", Ci.nsIFile);
file.append("thunderbird-test.eml");
file.createUnique(Ci.nsIFile.NORMAL_FILE_TYPE, 0o600);
await win.IOUtils.writeUTF8(file.path, [`From: ${id.email}`,
    `To: ${args[0]}`, `Subject: ${args[1]}`,
    `Message-ID: <${Date.now()}@example.test>`,
    `Date: ${new Date().toUTCString()}`, "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit", "", args[2], ""].join("\\r\\n"));
const l = done();
send.sendMessageFile(id, a.key, fields, file, true, false,
    Ci.nsIMsgSend.nsMsgDeliverNow, null, l, null, "");
await l.promise;
""", to, subject, body)

    def idles(self):
        """Wait until it has read that it is in IDLE: of what it is told in
        the answer to another command, or in one packet with "+ idling", it
        takes no notice before the next look."""
        end = time.monotonic() + WAIT_S
        while True:
            last = re.findall(r":SendData: (?:\d+ )?DONE\b|"
                              r":CreateNewLineFromSocket: \+ idling",
                              self.transcript())
            if last and last[-1].endswith("idling"):
                return
            assert time.monotonic() < end, "it does not idle"
            time.sleep(0.05)

    def log(self):
        """The end of what it said to servers, for a failure's message."""
        return self.transcript()[-6000:]

    def transcript(self):
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("log") and name.endswith(".moz_log"):
                with open(f"{self.dir}/{name}", errors="replace",
                          encoding="utf8") as f:
                    text += f.read()
        return text
