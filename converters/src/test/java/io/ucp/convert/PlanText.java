package io.ucp.convert;

import io.ucp.plan.CopyPlan;
import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Collectors;

/// A plan as text, a line a step, for golden files: `a..b` are bytes of the target.
final class PlanText {
    private final Path root;

    PlanText(Path root) {
        this.root = root;
    }

    String of(CopyPlan plan) {
        return plan.targets().stream()
                .sorted(Comparator.comparing(TargetPlan::path))
                .map(t -> target(t, plan))
                .collect(Collectors.joining("\n"));
    }

    private String target(TargetPlan target, CopyPlan plan) {
        return target.path()
                + "\n"
                + target.steps().stream()
                        .map(step -> "  " + step(step, plan) + "\n")
                        .collect(Collectors.joining());
    }

    private String step(Step step, CopyPlan plan) {
        String range = step.offset() + ".." + (step.offset() + step.size());
        return switch (step) {
            case Step.Literal _ -> range + " literal";
            case Step.Fill _ -> range + " zeros";
            case Step.Bytes bytes ->
                    "%s bytes of %s at %d"
                            .formatted(
                                    range,
                                    root.relativize(bytes.source().path()),
                                    bytes.sourceOffset());
            case Step.Elements elements -> {
                CopyPlan.Label label = plan.labels().get(elements.label());
                yield "%s %s %s %s"
                        .formatted(
                                range,
                                label.parameter(),
                                label.state(),
                                "\n    "
                                        + copy(elements.copies().getFirst())
                                        + elements.copies().stream()
                                                .skip(1)
                                                .map(c -> "\n    " + c.rule() + " " + copy(c))
                                                .collect(Collectors.joining()));
            }
        };
    }

    private String copy(Step.Copy copy) {
        return copy.origins().items().stream()
                .map(
                        origin ->
                                "%s+%d %s"
                                        .formatted(
                                                root.relativize(origin.source().path()),
                                                origin.base(),
                                                origin.moves()))
                .collect(Collectors.joining(" | "));
    }
}
