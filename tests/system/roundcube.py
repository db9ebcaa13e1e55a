# SPDX-License-Identifier: ISC
"""Roundcube in PHP's own web server, used as its script in a browser does.

    with Roundcube(directory, imap="tls://localhost:143", ...) as r:
        r.login("bob@example.test", "builder")
        r.messages("INBOX")		{uid: subject}
"""
import html
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import free_port  # noqa: E402
from mailusers import TIMEOUT  # noqa: E402

PROGRAM = "/var/lib/roundcube"
DEFAULTS = "/etc/roundcube/defaults.inc.php"

CONFIG = """\
<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///%(dir)s/db?mode=0600';
$config['imap_host'] = '%(imap)s';
$config['smtp_host'] = '%(smtp)s';
$config['smtp_user'] = '%%u';
$config['smtp_pass'] = '%%p';
$config['imap_conn_options'] = $config['smtp_conn_options'] =
    ['ssl' => ['cafile' => '%(ca)s']];
$config['des_key'] = 'a key of some 24 letters';
$config['log_dir'] = $config['temp_dir'] = '%(dir)s/';
$config['imap_debug'] = $config['smtp_debug'] = true;
$config['plugins'] = ['acl', 'archive', 'markasjunk'];
$config['check_all_folders'] = true;
$config['use_subscriptions'] = true;
$config['enable_spellcheck'] = false;
"""


class Roundcube:
    """Files go below directory; hosts as in Roundcube's settings."""

    def __init__(self, directory, imap, smtp, ca):
        self.dir = directory
        os.makedirs(directory)
        shutil.copy(DEFAULTS, directory)
        shutil.copy("/etc/roundcube/mimetypes.php", directory)
        with open(f"{directory}/config.inc.php", "w", encoding="ascii") as f:
            f.write(CONFIG % {"dir": directory, "imap": imap, "smtp": smtp,
                              "ca": ca})
        subprocess.run(
            ["php", "-r", "$d = new PDO('sqlite:' . $argv[1]);"
             "$d->exec(file_get_contents($argv[2]));", f"{directory}/db",
             "/usr/share/roundcube/SQL/sqlite.initial.sql"], check=True)
        self.port = free_port()
        self.token = ""
        self.web = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def __enter__(self):
        self.php = subprocess.Popen(
            ["php", "-d", f"session.save_path={self.dir}", "-S",
             f"127.0.0.1:{self.port}", "-t", PROGRAM],
            env=dict(os.environ, ROUNDCUBE_CONFIG_DIR=self.dir),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                assert time.monotonic() < end, "PHP does not start"
                time.sleep(0.1)

    def __exit__(self, *_):
        os.killpg(self.php.pid, signal.SIGTERM)
        self.php.wait()

    def get(self, task, action="", post=None, remote=False, **query):
        """A page; remote: what the page's script asks for, as JSON."""
        query = {"_task": task, **({"_action": action} if action else {}),
                 **({"_remote": 1} if remote else {}), **query}
        if post is not None:
            post = urllib.parse.urlencode(
                {"_token": self.token, "_remote": int(remote), **post}
            ).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/?"
            + urllib.parse.urlencode(query), post,
            {"X-Roundcube-Request": self.token,
             "Accept-Language": "en"})
        with self.web.open(request, timeout=TIMEOUT * 2) as answer:
            self.url = answer.geturl()
            text = answer.read().decode("utf8", "replace")
        if remote:
            return json.loads(text)
        found = re.search(r'"request_token":"(\w+)"', text)
        if found:
            self.token = found[1]
        return text

    def login(self, user, password):
        self.get("login")
        page = self.get("login", "login", {
            "_task": "login", "_action": "login", "_timezone": "UTC",
            "_url": "", "_user": user, "_pass": password})
        assert "task=mail" in self.url or '"task":"mail"' in page, \
            re.findall(r"display_message\(([^)]*)", page) + [self.log()]
        return page

    def mail(self, action, post=None, **query):
        """One of the script's questions about mail; the answer's JSON."""
        got = self.get("mail", action, post, True, **query)
        errors = re.findall(r'display_message\("([^"]*)","error"',
                            got.get("exec", ""))
        assert not errors, (action, query, errors, self.log())
        return got

    def messages(self, mbox, action="list", **query):
        """{UID: subject} of a folder's list."""
        got = self.mail(action, _mbox=mbox, **query)["exec"]
        found = {}
        for uid, row in re.findall(
                r"add_message_row\((\d+),(\{.*?\}),\{", got):
            subject = json.loads(row)["subject"]
            subject = re.sub(r"<[^>]*>", "", subject)
            found[int(uid)] = html.unescape(subject).strip()
        return found

    def log(self):
        """The end of what it said to the servers."""
        text = ""
        for name in ("errors.log", "imap.log", "smtp.log"):
            path = f"{self.dir}/{name}"
            if os.path.exists(path):
                with open(path, errors="replace", encoding="utf8") as f:
                    text += f.read()[-3000:]
        return text
