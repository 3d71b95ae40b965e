package io.ucp.convert;

import io.ucp.bind.ModelFamilies;
import io.ucp.bind.Naming;
import io.ucp.checkpoint.Inventory;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.lang.ast.Spec;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/// The state under the names of a target: the source's own, or by way of Hugging Face's those of
/// another framework.
///
/// @param inventory under these names
/// @param hints what the source says that still holds under these names
/// @param spec whose names they are, where that is not the source's own
record TargetNames(Inventory inventory, LayoutHints hints, Optional<Spec> spec) {
    /// By the spec that is named for the target, else by what the format takes.
    ///
    /// @throws RefusedException where no family, or more than one, has names for it
    static TargetNames of(Request request, Described described, CheckpointFormat format)
            throws IOException {
        if (request.targetSpec().isPresent()) {
            return under(SpecSource.named(request.targetSpec().get()), request, described);
        }
        if (!isNamed(request, format)) {
            boolean job = request.target().isPresent() && request.names() != Names.HF;
            Inventory own = job ? described.held() : described.inventory();
            return unchanged(own, described);
        }
        if (format.naming().equals(CheckpointFormat.HUGGING_FACE)) {
            boolean asked = !described.isHeld(described.inventory());
            Inventory named =
                    asked
                            ? described.inventory()
                            : SourceNames.huggingFace(described, request.settings(), false);
            return unchanged(named, described);
        }
        return framework(format.naming(), request, described);
    }

    /// Whether the format says what parameters are called in the target.
    private static boolean isNamed(Request request, CheckpointFormat format) {
        return request.names() == Names.AUTO && !format.naming().isEmpty();
    }

    /// Whether a bundled family may say what parameters are called in the target, or what those of
    /// the source are by the names that a spec for the target is for.
    static boolean mayBeOfAFamily(Request request, CheckpointFormat format) {
        return request.names() == Names.HF
                || request.targetSpec().isPresent()
                || isNamed(request, format);
    }

    TargetNames with(Inventory changed) {
        return new TargetNames(changed, hints, spec);
    }

    private static TargetNames unchanged(Inventory inventory, Described described) {
        LayoutHints hints = described.source().index().hints();
        boolean renamed = !described.isHeld(inventory);
        return new TargetNames(inventory, renamed ? hints.withoutNames() : hints, Optional.empty());
    }

    /// The names of a framework: the source's own where they are that, else those of the one family
    /// that has Hugging Face's.
    private static TargetNames framework(String framework, Request request, Described described)
            throws IOException {
        Map<String, Long> numbers = SourceNames.numbers(described.source().index());
        List<ParameterFacts> held = SourceNames.facts(described.held());
        List<ModelFamilies.Fit> own =
                ModelFamilies.reading(held, numbers, request.settings(), framework);
        if (!own.isEmpty() || described.source().index().format().equals(request.to())) {
            return unchanged(described.held(), described);
        }
        Inventory pivot = SourceNames.huggingFace(described, request.settings(), false);
        ModelFamilies.Search search =
                ModelFamilies.writing(
                        SourceNames.facts(pivot), numbers, request.settings(), framework);
        if (search.fitting().size() > 1) {
            throw SourceNames.several(described, search.fitting(), "--target-spec");
        }
        if (search.fitting().isEmpty()) {
            throw none(framework, pivot, search);
        }
        ModelFamilies.Fit fit = search.fitting().getFirst();
        return returned(
                pivot,
                fit.naming(),
                fit.spec(),
                "those of the target are by the bundled family %s, which fits every name and shape"
                        .formatted(fit.name()),
                described,
                request.settings());
    }

    private static RefusedException none(
            String framework, Inventory pivot, ModelFamilies.Search search) {
        String near =
                search.near().entrySet().stream()
                        .map(e -> "\n    %s: %s".formatted(e.getKey(), e.getValue()))
                        .collect(Collectors.joining());
        return new RefusedException(
                "names of %s".formatted(framework),
                "no bundled family has some for %s%s"
                        .formatted(
                                pivot.parameters().stream()
                                        .limit(3)
                                        .map(p -> p.name())
                                        .collect(Collectors.joining(", ", "", ", ..")),
                                near),
                "one of %s".formatted(String.join(", ", ModelFamilies.names(framework))),
                near.isEmpty()
                        ? "write one with renames to these names, --target-spec FILE"
                        : "--set gives numbers such as heads that nothing says; else write a spec,"
                                + " --target-spec FILE");
    }

    /// A spec that has these names on its left is for the source's own names or, where it does not
    /// fit them, for Hugging Face's on the right of its renames.
    private static TargetNames under(SpecSource target, Request request, Described described)
            throws IOException {
        Spec spec = target.spec();
        Map<String, Long> numbers = SourceNames.numbers(described.source().index());
        List<ParameterFacts> held = SourceNames.facts(described.held());
        if (spec.renames().isEmpty() || Naming.fits(spec, held, numbers, request.settings())) {
            TargetNames own = unchanged(described.held(), described);
            return new TargetNames(own.inventory, own.hints, Optional.of(spec));
        }
        Inventory pivot = SourceNames.huggingFace(described, request.settings(), false);
        Naming naming = Naming.back(spec, SourceNames.facts(pivot), numbers, request.settings());
        return returned(
                pivot,
                naming,
                spec,
                "those of the target are by " + target.name(),
                described,
                request.settings());
    }

    private static TargetNames returned(
            Inventory pivot,
            Naming naming,
            Spec spec,
            String note,
            Described described,
            Map<String, Long> settings)
            throws IOException {
        return new TargetNames(
                SourceNames.noted(SourceNames.renamed(pivot, naming, settings), note),
                described
                        .source()
                        .index()
                        .hints()
                        .withoutNames()
                        .withNumbers(naming.numbers())
                        .withNumbers(settings),
                Optional.of(spec));
    }
}
