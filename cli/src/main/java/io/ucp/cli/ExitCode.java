package io.ucp.cli;

/// What `ucp` tells its caller when it ends; `docs/exit-codes.md` is the user's page about it.
public enum ExitCode {
    DONE(0, "Done: the command did what it was asked to do."),
    DIFFERENCE(
            1,
            "A difference was found by `verify`, `diff`, `scrub`, `check` or `fmt --check`;"
                    + " `snapshot --once` found nothing that is committed."),
    USAGE(
            2,
            "Wrong usage: arguments, a spec with errors, a layout that cannot be, an output that"
                    + " exists, an earlier run that was cut off."),
    MALFORMED_INPUT(3, "The input is malformed, incomplete or contradicts itself."),
    IO(4, "Reading or writing failed: disk full, no permission, a device error."),
    REFUSED(
            5,
            "Refused: it cannot be proven right or would lose something; the message names the way"
                    + " out."),
    /// `EX_SOFTWARE` of sysexits; never used for anything that the user can mend.
    INTERNAL(70, "A fault of ucp itself."),
    /// Set by the JVM.
    INTERRUPTED(130, "Ended by SIGINT (Ctrl-C)."),
    /// Set by the JVM.
    TERMINATED(143, "Ended by SIGTERM.");

    private final int code;
    private final String meaning;

    ExitCode(int code, String meaning) {
        this.code = code;
        this.meaning = meaning;
    }

    /// The number that the process ends with.
    public int code() {
        return code;
    }

    /// One sentence for the man pages and the table in the docs.
    public String meaning() {
        return meaning;
    }
}
