package io.ucp.lang.diagnostic;

import java.util.List;
import java.util.stream.Collectors;

/// A spec that cannot be used, with everything that is wrong with it that one run could find, in
/// the order of the text. The message is what a person should see.
public final class SpecException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient List<Diagnostic> diagnostics;

    public SpecException(List<Diagnostic> diagnostics) {
        super(diagnostics.stream().map(Diagnostic::render).collect(Collectors.joining("\n")));
        if (diagnostics.isEmpty()) {
            throw new IllegalArgumentException("a spec exception needs at least one diagnostic");
        }
        this.diagnostics = List.copyOf(diagnostics);
    }

    public SpecException(Diagnostic diagnostic) {
        this(List.of(diagnostic));
    }

    public List<Diagnostic> diagnostics() {
        return diagnostics;
    }
}
