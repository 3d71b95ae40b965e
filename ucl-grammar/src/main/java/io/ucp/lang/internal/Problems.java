package io.ucp.lang.internal;

import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SpecException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// What one run finds wrong with a spec.
final class Problems {
    private static final int MOST = 100;

    private final List<Diagnostic> found = new ArrayList<>();

    void add(Diagnostic diagnostic) {
        found.add(diagnostic);
    }

    boolean any() {
        return !found.isEmpty();
    }

    /// Gives up when there are any.
    ///
    /// @throws SpecException when there are any, in the order of the text
    void throwIfAny() {
        if (found.isEmpty()) {
            return;
        }
        List<Diagnostic> ordered = new ArrayList<>(found);
        ordered.sort(Comparator.comparingInt(diagnostic -> diagnostic.span().start()));
        if (ordered.size() <= MOST) {
            throw new SpecException(ordered);
        }
        List<Diagnostic> first = new ArrayList<>(ordered.subList(0, MOST));
        String rest = "%d more errors are not shown".formatted(ordered.size() - MOST);
        first.add(Diagnostic.error(ordered.get(MOST).span(), rest));
        throw new SpecException(first);
    }
}
