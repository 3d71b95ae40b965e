package io.ucp.lang.internal;

import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;

/// What one run finds wrong with a spec.
final class Problems {
    private static final int MOST = 100;

    private final List<Diagnostic> found = new ArrayList<>();
    private final Map<SourceText, NavigableSet<Integer>> starts = new LinkedHashMap<>();

    void add(Diagnostic diagnostic) {
        found.add(diagnostic);
        Span span = diagnostic.span();
        starts.computeIfAbsent(span.source(), _ -> new TreeSet<>()).add(span.start());
    }

    boolean any() {
        return !found.isEmpty();
    }

    /// Whether something is wrong inside a span, so that more said about it would be guesswork.
    boolean anyIn(Span span) {
        NavigableSet<Integer> places =
                starts.getOrDefault(span.source(), Collections.emptyNavigableSet());
        Integer next = places.ceiling(span.start());
        return next != null && next <= span.end();
    }

    /// Gives up when there are any.
    ///
    /// @throws SpecException when there are any, in the order of the text
    void throwIfAny() {
        if (found.isEmpty()) {
            return;
        }
        List<Diagnostic> ordered = new ArrayList<>(found);
        List<SourceText> sources = List.copyOf(starts.keySet());
        ordered.sort(
                Comparator.<Diagnostic>comparingInt(one -> sources.indexOf(one.span().source()))
                        .thenComparingInt(one -> one.span().start()));
        if (ordered.size() <= MOST) {
            throw new SpecException(ordered);
        }
        List<Diagnostic> first = new ArrayList<>(ordered.subList(0, MOST));
        String rest = "%d more errors are not shown".formatted(ordered.size() - MOST);
        first.add(Diagnostic.error(ordered.get(MOST).span(), rest));
        throw new SpecException(first);
    }
}
