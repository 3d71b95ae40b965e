package io.ucp.lang.diagnostic;

import java.util.Optional;

/// One thing to say about a source: where it is, what was found and what was expected, and what to
/// do.
///
/// @param message what was found; what was expected. One line, no full stop
/// @param hint what to do about it, where that is known
public record Diagnostic(Severity severity, Span span, String message, Optional<String> hint) {

    public static Diagnostic error(Span span, String message) {
        return new Diagnostic(Severity.ERROR, span, message, Optional.empty());
    }

    public static Diagnostic error(Span span, String message, String hint) {
        return new Diagnostic(Severity.ERROR, span, message, Optional.of(hint));
    }

    public static Diagnostic warning(Span span, String message) {
        return new Diagnostic(Severity.WARNING, span, message, Optional.empty());
    }

    public Diagnostic withHint(String text) {
        return new Diagnostic(severity, span, message, Optional.of(text));
    }

    /// `file:line:col: error: message`, the source line, a caret under the span, and `hint: ..`.
    public String render() {
        return Rendering.of(this);
    }

    @Override
    public String toString() {
        return render();
    }
}
