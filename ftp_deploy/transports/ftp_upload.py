"""Uploads: three round trips for a small file.

1. EPSV and its reply. 2. STOR, and beside it the data connection. 3. The data, and the final reply. The questions about
a file that has just arrived (its size, its hash) and its mode travel together with the EPSV of the next file. vsftpd
would cost a fourth round trip; there they all go out as soon as the data is written. On ProFTPD two are enough: EPSV
goes out alone when the data has arrived (see ``ftp_early``), and the questions travel with the next STOR.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import BinaryIO

from ftp_deploy.exceptions import TransferFailed, VerificationFailed
from ftp_deploy.transports.base import Progress, Upload
from ftp_deploy.transports.crew import Lane
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_data import DataConnection
from ftp_deploy.transports.ftp_hashes import Hasher, hasher_for, read_hash
from ftp_deploy.transports.ftp_passive import ask_port, parse_port, passive_command, read_port
from ftp_deploy.transports.ftp_replies import Question, Reply
from ftp_deploy.transports.names import join

SMALL = 256 * 1024
"""Bytes up to which a file is sent without waiting for the server's 150."""
BLOCK = 1024 * 1024


class Uploader:
    """Sends one file after the other over one connection."""

    def __init__(self, control: Control, lane: Lane[Upload], file_mode: int | None) -> None:
        self.control = control
        self.server = control.server
        self.lane = lane
        self.file_mode = file_mode

    def run(self) -> None:
        """Send until the lane is empty. Raises ``TransportError``; what is held then has not arrived."""
        upload = self.lane.take()
        port = ask_port(self.control) if upload else 0
        while upload is not None:
            upload, port = self._send(upload, port)

    def _send(self, upload: Upload, port: int) -> tuple[Upload | None, int]:
        """Send one file; return the next one and its data port."""
        root = self.server.root or ""
        hasher = hasher_for(self.server.traits.hash_command)
        with DataConnection(
            self.control, port, f"STOR {join(root, upload.path)}", doing=f"upload {upload.shown}", path=upload.shown
        ) as data:
            self._send_content(data, upload, hasher)
            data.finish_sending()
            following = self.lane.take()
            questions = list(self._questions(upload, hasher))
            if self.server.reads_ahead:
                self._ask(questions, following)
            next_port = self._early_port(data) if following is not None else 0
            data.finish()
        if following is not None and next_port:
            if self._fits(questions, following):
                self._judge_later(questions, upload)
            else:
                self._judge_now(questions, upload)
            return following, next_port
        if not self.server.reads_ahead:
            self._ask(questions, following)
        for question in questions:
            question.judge(self.control.read_reply())
        next_port = read_port(self.control) if following is not None else 0
        self._done(upload)
        return following, next_port

    def _ask(self, questions: Sequence[Question], following: Upload | None) -> None:
        commands = [question.command for question in questions]
        if following is not None:
            commands.append(passive_command(self.control))
        self.control.send(*commands)

    def _done(self, upload: Upload) -> None:
        self.lane.done(Progress(done=(upload.path,), current=upload.shown))

    def _early_port(self, data: DataConnection) -> int:
        """Ask for the next data port when the server has probably seen the end of this file; 0: it named none."""
        if not self.server.tells_too_early:
            return 0
        early = self.server.early_port
        delay = early.delay
        if not data.outlast(delay):
            early.too_late()
            return 0
        command = passive_command(self.control)
        self.control.send(command)
        reply = self.control.final_reply()
        refused = reply.code == 450 and reply.text.upper().startswith(command)
        answered = refused or reply.code in (227, 229)  # before the final reply, which must come all the same
        data.final = self.control.final_reply() if answered else reply
        data.finish()
        reply = reply if answered else self.control.read_reply()
        if reply.code not in (227, 229):
            early.too_early(delay)
            return 0
        early.in_time()
        return parse_port(self.control, reply)

    def _fits(self, questions: Sequence[Question], following: Upload) -> bool:
        """Say whether the questions may be under way together with the next STOR, which must not be misread."""
        commands = [question.command for question in questions]
        commands.append(f"STOR {join(self.server.root or '', following.path)}")
        return sum(len(command.encode("utf-8", "surrogatepass")) + 2 for command in commands) <= self.server.window

    def _judge_now(self, questions: Sequence[Question], upload: Upload) -> None:
        replies = self.control.exchange([question.command for question in questions])
        for question, reply in zip(questions, replies, strict=True):
            question.judge(reply)
        self._done(upload)

    def _judge_later(self, questions: Sequence[Question], upload: Upload) -> None:
        """Ask about a file that has arrived; it is done once the answers have come, among those about the next one."""
        if not questions:
            self._done(upload)
            return
        *others, last = questions

        def judge(reply: Reply) -> None:
            last.judge(reply)
            self._done(upload)

        self.control.put([*others, Question(last.command, judge)])

    def _send_content(self, data: DataConnection, upload: Upload, hasher: Hasher | None) -> None:
        if upload.size > SMALL or self.server.starts_late:
            data.await_start()
        data.fill_packets()
        sent = 0
        with upload.open() as stream:
            for block in _blocks(stream, upload.size):
                if hasher:
                    hasher.update(block)
                self._send_block(data, block, upload)
                sent += len(block)
                if sent > upload.size:
                    break
        if sent != upload.size:
            raise TransferFailed(
                f"The content of {upload.shown} has another length than the {upload.size} bytes that were planned.",
                path=upload.shown,
            )

    def _send_block(self, data: DataConnection, block: memoryview, upload: Upload) -> None:
        start = 0
        try:
            while start < len(block):
                written = data.connection.send(block[start:])
                start += written
                self.lane.report(Progress(bytes_sent=written, current=upload.shown))
        except OSError as error:
            raise data.failure(error) from error

    # What is asked about a file that has arrived

    def _questions(self, upload: Upload, hasher: Hasher | None) -> Iterator[Question]:
        path = join(self.server.root or "", upload.path)
        traits = self.server.traits
        if self.server.size_works:
            yield Question(f"SIZE {path}", lambda reply: self._judge_size(reply, upload))
        if hasher:
            yield Question(f"{hasher.command} {path}", lambda reply: self._judge_hash(reply, upload, hasher))
        mode = upload.mode if upload.mode is not None else self.file_mode
        if mode is not None and traits.chmod is not False:
            yield Question(f"SITE CHMOD {mode:o} {path}", self._judge_chmod)
        if upload.modified is not None and traits.set_time:
            stamp = upload.modified.astimezone(UTC).strftime("%Y%m%d%H%M%S")
            yield Question(f"MFMT {stamp} {path}", self._judge_time)

    def _judge_size(self, reply: Reply, upload: Upload) -> None:
        if reply.unknown_command:
            self.server.size_works = False
            return
        digits = reply.text.strip().split(" ")[-1]
        if reply.code != 213 or not digits.isdecimal() or int(digits) != upload.size:
            raise VerificationFailed(
                f"{upload.shown} has {upload.size} bytes, but after the upload the server says: {reply}.",
                path=upload.shown,
                reply=str(reply),
                code=reply.code,
            )

    def _judge_hash(self, reply: Reply, upload: Upload, hasher: Hasher) -> None:
        if not reply.good:
            self.server.learn(hash_command=None)
            return
        if not read_hash(reply.text, hasher.hexdigest()):
            raise VerificationFailed(
                f"{upload.shown} arrived with another content: the server's {hasher.command} says {reply}, "
                f"expected {hasher.hexdigest()}.",
                path=upload.shown,
                reply=str(reply),
            )

    def _judge_chmod(self, reply: Reply) -> None:
        if self.server.traits.chmod is not reply.good:
            self.server.learn(chmod=reply.good)

    def _judge_time(self, reply: Reply) -> None:
        if not reply.good:
            self.server.learn(set_time=False)


def _blocks(stream: BinaryIO, size: int) -> Iterator[memoryview]:
    """Read a stream in blocks; at most one block is in memory, besides what the stream itself holds."""
    view = memoryview(bytearray(min(size + 1, BLOCK)))
    read_into: Callable[[memoryview], int] | None = getattr(stream, "readinto", None)
    if read_into is None:
        while block := stream.read(BLOCK):
            yield memoryview(block)
        return
    while count := read_into(view):
        yield view[:count]
