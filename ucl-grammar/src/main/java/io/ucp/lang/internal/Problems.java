package io.ucp.lang.internal;

import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.NearHints;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.function.Predicate;

/// What one run finds wrong with a spec.
final class Problems {
    /// How many are told.
    private static final int MOST = 100;

    /// How many are kept, of which the first in the text are told.
    private static final int KEPT = 10_000;

    private final List<Diagnostic> found = new ArrayList<>();
    private final NearHints near = new NearHints();
    private int count;

    /// What a name may have been meant for.
    NearHints near() {
        return near;
    }

    void add(Diagnostic diagnostic) {
        if (found.size() < KEPT) {
            found.add(diagnostic);
        }
        count++;
    }

    boolean any() {
        return !found.isEmpty();
    }

    /// Whether something found so far is inside a span, so that more said about it would be
    /// guesswork. What is found later does not count.
    Predicate<Span> soFar() {
        Map<SourceText, NavigableSet<Integer>> places = new HashMap<>();
        for (Diagnostic diagnostic : found) {
            Span span = diagnostic.span();
            places.computeIfAbsent(span.source(), _ -> new TreeSet<>()).add(span.start());
        }
        return span -> {
            NavigableSet<Integer> starts =
                    places.getOrDefault(span.source(), Collections.emptyNavigableSet());
            Integer next = starts.ceiling(span.start());
            return next != null && next <= span.end();
        };
    }

    /// Gives up when there are any.
    ///
    /// @throws SpecException when there are any, in the order of the text
    void throwIfAny() {
        if (found.isEmpty()) {
            return;
        }
        List<Diagnostic> ordered = new ArrayList<>(found);
        List<SourceText> sources =
                found.stream().map(one -> one.span().source()).distinct().toList();
        ordered.sort(
                Comparator.<Diagnostic>comparingInt(one -> sources.indexOf(one.span().source()))
                        .thenComparingInt(one -> one.span().start()));
        if (ordered.size() <= MOST) {
            throw new SpecException(ordered);
        }
        List<Diagnostic> first = new ArrayList<>(ordered.subList(0, MOST));
        String rest = "%,d more errors are not shown".formatted(count - MOST);
        first.add(Diagnostic.error(ordered.get(MOST).span(), rest));
        throw new SpecException(first);
    }
}
