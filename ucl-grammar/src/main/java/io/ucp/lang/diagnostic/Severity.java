package io.ucp.lang.diagnostic;

import java.util.Locale;

/// How bad it is: an error stops the work, a warning and a note do not.
public enum Severity {
    ERROR,
    WARNING,
    NOTE;

    /// The word that a diagnostic prints.
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
