package io.ucp.cli;

import java.util.Locale;

/// The subcommands, in the order in which help lists them.
///
/// A command's class is loaded only when its command is asked for or when all of them are listed,
/// so a new command costs the others no start-up time.
enum Subcommand {
    COMPLETION,
    REHEARSE;

    /// The name as the user types it.
    String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /// A new instance of the class annotated with `@Command`.
    Object create() {
        return switch (this) {
            case COMPLETION -> new Completion();
            case REHEARSE -> new Rehearse();
        };
    }
}
