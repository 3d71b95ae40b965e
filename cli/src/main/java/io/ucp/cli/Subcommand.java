package io.ucp.cli;

import java.util.Locale;

/// The subcommands, in the order in which help lists them.
///
/// A command's class is loaded only when its command is asked for or when all of them are listed,
/// so a new command costs the others no start-up time.
enum Subcommand {
    CONVERT,
    SPLIT,
    JOIN,
    PLAN,
    VERIFY,
    DIFF,
    INSPECT,
    LAYOUTS,
    DIGEST,
    PROTECT,
    SCRUB,
    REPAIR,
    SNAPSHOT,
    INFER,
    CHECK,
    FMT,
    SPEC,
    COMPLETION,
    REHEARSE;

    /// The name as the user types it.
    String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /// A new instance of the class annotated with `@Command`.
    Object create() {
        return switch (this) {
            case CONVERT -> new Convert();
            case SPLIT -> new Split();
            case JOIN -> new Join();
            case PLAN -> new Plan();
            case VERIFY -> new Verify();
            case DIFF -> new DiffCommand();
            case INSPECT -> new Inspect();
            case LAYOUTS -> new LayoutsCommand();
            case DIGEST -> new Digest();
            case PROTECT -> new Protect();
            case SCRUB -> new ScrubCommand();
            case REPAIR -> new RepairCommand();
            case SNAPSHOT -> new Snapshot();
            case INFER -> new Infer();
            case CHECK -> new Check();
            case FMT -> new Fmt();
            case SPEC -> new SpecCommand();
            case COMPLETION -> new Completion();
            case REHEARSE -> new Rehearse();
        };
    }
}
