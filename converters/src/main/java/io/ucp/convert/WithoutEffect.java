package io.ucp.convert;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.RefusedException;
import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Options that a conversion would take without a word and not follow: how ranks share parameters,
/// where both sides hold every parameter whole.
final class WithoutEffect {
    private WithoutEffect() {}

    /// @throws SpecException where `--spec`, `--target-spec` or `--set` can change nothing
    static void refuse(
            Request request, Described described, TargetNames names, CheckpointFormat format)
            throws IOException {
        if (request.target().isPresent()) {
            return;
        }
        if (request.targetSpec().isPresent()
                && described.isHeld(names.inventory())
                && areTakenAnyway(request, described, format)) {
            throw new SpecException(targetSpec(request.targetSpec().get()));
        }
        if (described.sharding().isPresent()) {
            return;
        }
        boolean renamed = !described.isHeld(names.inventory());
        List<Diagnostic> found = new ArrayList<>();
        boolean spoken = renamed;
        if (request.spec().isPresent()) {
            String named = request.spec().get();
            Spec spec = SpecSource.named(named).spec();
            spoken |= leavesOutOrCasts(spec);
            if (!spoken) {
                found.add(
                        error(
                                "--spec %s".formatted(named),
                                spec.renames().isEmpty()
                                        ? "a spec that renames, drops or casts something"
                                        : "its renames to be asked for",
                                spec.renames().isEmpty()
                                        ? "leave it out; `ucp check %s --against %s` tells whether it fits"
                                                .formatted(named, request.source())
                                        : "add --names hf"));
            }
        }
        boolean families = TargetNames.mayBeOfAFamily(request, format);
        if (!request.settings().isEmpty() && !spoken && !families) {
            String first = request.settings().keySet().stream().sorted().findFirst().orElseThrow();
            found.add(
                    error(
                            "--set " + first,
                            "a spec or a family of models that reads it",
                            "leave it out"));
        }
        if (!found.isEmpty()) {
            throw new SpecException(found);
        }
    }

    /// Whether the format takes the source's names where no spec says which the target has.
    private static boolean areTakenAnyway(
            Request request, Described described, CheckpointFormat format) throws IOException {
        try {
            return described.isHeld(
                    TargetNames.of(request.withoutTargetSpec(), described, format).inventory());
        } catch (RefusedException _) {
            return false;
        }
    }

    /// The names are the target's already, and how ranks share parameters is of no use to it.
    private static Diagnostic targetSpec(String named) {
        return Diagnostic.error(
                Span.NONE,
                "--target-spec %s has no effect: the target holds every parameter whole, under the names that it has; expected a spec whose renames lead to other names"
                        .formatted(named),
                "leave it out; --spec drops and casts");
    }

    private static Diagnostic error(String option, String expected, String remedy) {
        return Diagnostic.error(
                Span.NONE,
                "%s has no effect: source and target hold every parameter whole; expected %s"
                        .formatted(option, expected),
                remedy);
    }

    private static boolean leavesOutOrCasts(Spec spec) {
        return !spec.all(DropRule.class).isEmpty()
                || !spec.all(CastRule.class).isEmpty()
                || spec.params().stream()
                        .anyMatch(p -> p.layout().stream().anyMatch(Clause.Cast.class::isInstance));
    }
}
