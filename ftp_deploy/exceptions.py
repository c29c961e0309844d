"""The errors of the app. Each carries the decision that its catcher has to make.

::

    FTPDeployError
    +- ConfigurationError            the settings or the service are wrong: a person has to act
    +- EncryptionKeyError            a stored secret cannot be read with the keys in the settings
    +- DatabaseAway                  (transient) the database of this site broke off or refused a statement
    +- PlanError                     the tree cannot go live as it is
    |  +- UnsafePath                 a name that must not reach a server
    |  +- TooManyDeletes             more deletes than the service allows without being asked
    |  +- UnresolvedPointer          a Git LFS pointer without its content
    +- RepositoryError               the git side
    |  +- RepositoryUnavailable      (transient) the forge did not answer
    |  +- RepositoryLoginRefused     the forge refused the credentials
    |  +- RepositoryMissing          there is no such repository
    |  +- BranchMissing              the branch does not exist
    |  +- CommitMissing              the forge does not give out that commit
    |  +- WorkerDiskFull             (transient) no room here for what the forge sends
    +- TransportError                the server side
    |  +- ConnectionFailed           (transient) no connection, a time-out, a dropped line
    |  +- TooManyConnections         (transient) the server's limit is reached
    |  +- TransferFailed             (transient) one file did not arrive; a further try may help
    |  +- VerificationFailed         (transient) what arrived is not what was sent
    |  +- LoginRefused               wrong user name, password or key
    |  +- PermissionRefused          the server does not let us do this (550, 553)
    |  +- StorageFull                quota or disk (452, 552)
    |  +- IdentityRefused            TLS certificate or SSH host key is not the one expected
    |  +- AddressRefused             an address that services may not point at
    |  +- FeatureMissing             the server cannot do what the service asks for
    +- ProviderError                 the forge's webhook or API
    |  +- PayloadUnreadable          400
    |  +- SignatureRefused           403
    |  +- ApiError                   a call to the forge's API failed
    +- NotSent                       a message did not reach its recipient; says itself whether a later try may help
    |  +- MailServerDown             (transient) none of the waiting mails can be sent now
    +- CallFailed                    an HTTP call got no answer; says itself whether a later try may help
    +- LeaseLost                     another worker owns the service now
    +- DeployCancelled               a person cancelled the deploy
    +- WorkerStopping                the worker shuts down; the deploy is handed back

No message ever holds a secret. A message names the file, what the server said, and what to do.
"""

import errno


class FTPDeployError(Exception):
    """Base of all errors of this app.

    ``message`` is a sentence for a person. ``advice`` says what to do next. ``transient`` says whether the same
    thing may work later without anybody changing anything.
    """

    transient = False
    advice = ""

    def __init__(self, message: str = "", *, advice: str = "") -> None:
        sentence = message or (self.__doc__ or "").partition("\n")[0]
        if sentence.endswith("..") and not sentence.endswith("..."):
            sentence = sentence[:-1]  # A quoted reply brought its own full stop.
        super().__init__(sentence)
        if advice:
            self.advice = advice

    @property
    def message(self) -> str:
        """The sentence for a person, without the advice."""
        return str(self.args[0])


class ConfigurationError(FTPDeployError):
    """The settings or the service are wrong."""

    advice = "Correct the setting, or the field of the service, that is named."


class EncryptionKeyError(FTPDeployError):
    """A stored secret cannot be read with the keys in the settings."""

    advice = "Put the key that encrypted it into FTP_DEPLOY_ENCRYPTION_KEYS, or enter the secret again."


class DatabaseAway(FTPDeployError):
    """The database of this site broke off or refused a statement."""

    transient = True
    advice = "Look into the worker's log and the database's log, and whether its disk is full."


class PlanError(FTPDeployError):
    """The tree cannot go live as it is."""


class UnsafePath(PlanError):
    """A file name in the repository must not reach a server."""

    advice = "Rename the file in the repository, or exclude it in the service."


class TooManyDeletes(PlanError):
    """The deploy would delete more files than the service allows without being asked. ``paths`` are these files."""

    advice = "Look at the list of deletes and confirm the deploy, or raise the delete limit of the service."

    def __init__(self, message: str = "", *, advice: str = "", paths: tuple[str, ...] = ()) -> None:
        super().__init__(message, advice=advice)
        self.paths = paths


class UnresolvedPointer(PlanError):
    """A Git LFS pointer would go live instead of its content."""

    advice = "Push the object to the Git LFS store of the forge, or exclude the file in the service."


class RepositoryError(FTPDeployError):
    """The repository could not be read."""


class RepositoryUnavailable(RepositoryError):
    """The forge did not answer."""

    advice = "Look whether the forge is up. The deploy is tried again by itself."
    transient = True


class RepositoryLoginRefused(RepositoryError):
    """The forge refused the credentials."""

    advice = "Check the token: it may have expired or lack the right to read this repository."


class RepositoryMissing(RepositoryError):
    """There is no such repository, or the credentials may not see it."""

    advice = "Check the repository's name and that the token may read it."


class BranchMissing(RepositoryError):
    """The branch does not exist in the repository."""

    advice = "Choose another branch in the service, or push the branch again."


class CommitMissing(RepositoryError):
    """The forge does not give out this commit."""

    advice = "A force push may have removed it: deploy the branch as it is now."


class WorkerDiskFull(RepositoryError):
    """The disk of the worker's machine is full: there is no room for the files of this deploy."""

    transient = True
    advice = "Make room where FTP_DEPLOY_SPOOL_DIRECTORY points; empty stands for the system's temporary folder."

    @staticmethod
    def explains(error: BaseException) -> bool:
        """Say whether an error of the operating system means that."""
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class TransportError(FTPDeployError):
    """Something went wrong between us and the server.

    ``path`` is the file concerned, ``reply`` what the server said, ``code`` the FTP reply code or SFTP status.
    """

    def __init__(
        self, message: str = "", *, path: str = "", reply: str = "", code: int | None = None, advice: str = ""
    ) -> None:
        super().__init__(message, advice=advice)
        self.path = path
        self.reply = reply
        self.code = code


class ConnectionFailed(TransportError):
    """No connection to the server, or the connection was lost."""

    advice = "Compare host and port of the service, and ask whether the server lets this machine in."
    transient = True


class TooManyConnections(TransportError):
    """The server allows no further connection."""

    advice = "Lower the number of connections in the service, or log other programs out."
    transient = True


class TransferFailed(TransportError):
    """A file did not arrive."""

    advice = "Look at what the server said. The deploy is tried again by itself."
    transient = True


class VerificationFailed(TransportError):
    """What arrived on the server is not what was sent."""

    advice = "Look whether the disk or the quota is full, or whether the server changes files that arrive."
    transient = True


class LoginRefused(TransportError):
    """The server refused the user name, the password or the key."""

    advice = "Check the user name and the password or key of the service."


class PermissionRefused(TransportError):
    """The server does not let us do this."""

    advice = "Check the path of the service and the user's rights on the server."


class StorageFull(TransportError):
    """The disk or the quota of the server is full."""

    advice = "Free space on the server, or let the service write files directly instead of beside the old ones."


class IdentityRefused(TransportError):
    """The server's certificate or host key is not the one expected."""

    advice = "If the server's key was really changed, accept the new fingerprint in the service."


class AddressRefused(TransportError):
    """Services may not point at this address."""

    advice = "Private and loopback addresses need FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = True."


class FeatureMissing(TransportError):
    """The server cannot do what the service asks for."""

    advice = "Turn that choice off in the service, or choose another protocol."


class ProviderError(FTPDeployError):
    """The forge's webhook or API."""


class PayloadUnreadable(ProviderError):
    """The body of the webhook is not what this forge sends."""


class SignatureRefused(ProviderError):
    """The webhook is not signed, or not with this service's hook secret."""


class ApiError(ProviderError):
    """A call to the forge's API failed. ``status`` is the HTTP status, or None where there was no answer."""

    def __init__(
        self, message: str = "", *, status: int | None = None, transient: bool = False, advice: str = ""
    ) -> None:
        super().__init__(message, advice=advice)
        self.status = status
        self.transient = transient


class NotSent(FTPDeployError):
    """A message did not reach its recipient."""

    def __init__(self, message: str, *, transient: bool = False, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.transient = transient


class MailServerDown(NotSent):
    """The mail server takes no mail at all now."""

    advice = "Look whether the mail server is up, and compare its settings. The mail is tried again by itself."


class CallFailed(FTPDeployError):
    """An HTTP call got no answer."""

    def __init__(self, message: str, *, transient: bool = True, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.transient = transient


class LeaseLost(FTPDeployError):
    """Another worker owns the service now."""


class DeployCancelled(FTPDeployError):
    """The deploy was cancelled."""


class WorkerStopping(FTPDeployError):
    """The worker is shutting down; the deploy goes on elsewhere."""
