package io.ucp.convert;

import io.ucp.bind.ModelFamilies;
import io.ucp.bind.Naming;
import io.ucp.bind.SettingNames;
import io.ucp.bind.SpecLibrary;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.Renaming;
import io.ucp.checkpoint.Selection;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// The names of a source's parameters: its own, those that its spec renames them to, and Hugging
/// Face's.
final class SourceNames {
    private SourceNames() {}

    /// A source that holds every parameter whole.
    ///
    /// @param elsewhere settings that no spec of the source need read
    static Described whole(
            OpenedSource opened,
            Optional<String> spec,
            Map<String, Long> settings,
            Names names,
            Set<String> elsewhere)
            throws IOException {
        CheckpointIndex index = opened.index();
        Inventory all = Assembler.wholes(index);
        if (!settings.isEmpty()) {
            Map<String, Long> own = new TreeMap<>(settings);
            own.keySet().removeAll(elsewhere);
            SettingNames.check(SpecSource.unbound(spec, index), index, own);
        }
        String remembered = index.origin().spec().orElse("");
        if (spec.isEmpty()) {
            return described(
                    new Described(
                            opened, "", remembered, Optional.empty(), all, Optional.empty(), all),
                    false,
                    settings,
                    names);
        }
        SpecSource found = SpecSource.named(spec.get());
        Naming naming = Naming.forward(found.spec(), facts(all), numbers(index), settings);
        Inventory held = Selection.of(all, naming);
        Optional<Inventory> renamed =
                naming.renames().isEmpty()
                        ? Optional.empty()
                        : Optional.of(renamed(held, naming.onlyRenames(), settings));
        return described(
                new Described(
                        opened, found.name(), remembered, Optional.empty(), held, renamed, held),
                found.bundled(),
                settings,
                names);
    }

    /// The same source with the names that are asked for.
    ///
    /// @param bundled the spec that was named is, so that its renames are an offer
    static Described described(
            Described d, boolean bundled, Map<String, Long> settings, Names names)
            throws IncompleteCheckpointException {
        Inventory inventory =
                switch (names) {
                    case KEEP -> d.held();
                    case AUTO -> bundled ? d.held() : d.renamed().orElse(d.held());
                    case HF -> huggingFace(d, settings, true);
                };
        return new Described(
                d.source(),
                d.specName(),
                d.specText(),
                d.sharding(),
                d.held(),
                d.renamed(),
                inventory);
    }

    /// Under the names of the other side. The files that are carried along have the names of the
    /// job that wrote the state, whatever it is called by now.
    static Inventory renamed(Inventory inventory, Naming naming, Map<String, Long> settings)
            throws IncompleteCheckpointException {
        Inventory renamed = Renaming.apply(inventory, naming);
        boolean home =
                renamed.origin()
                        .spec()
                        .map(
                                text ->
                                        Naming.fits(
                                                Ucl.parse(
                                                        SourceText.of("the source's spec", text),
                                                        SpecLibrary.imports()),
                                                facts(renamed),
                                                numbers(renamed.index()),
                                                settings))
                        .orElse(false);
        return Renaming.marked(renamed, home);
    }

    static List<ParameterFacts> facts(Inventory inventory) {
        return inventory.parameters().stream().map(Parameter::facts).toList();
    }

    static Map<String, Long> numbers(CheckpointIndex index) {
        return index.hints().numbers();
    }

    /// Under Hugging Face's names: by the spec that was named, where it renames; else by the one
    /// bundled family that fits; else as they are.
    ///
    /// @param sure refuse names of which no family says whether they are Hugging Face's
    static Inventory huggingFace(Described d, Map<String, Long> settings, boolean sure)
            throws IncompleteCheckpointException {
        if (d.renamed().isPresent()) {
            return d.renamed().get();
        }
        List<ParameterFacts> held = facts(d.held());
        Map<String, Long> numbers = numbers(d.source().index());
        List<ModelFamilies.Fit> fits = ModelFamilies.reading(held, numbers, settings, "");
        if (fits.size() > 1) {
            throw several(d, fits, "--spec");
        }
        if (fits.size() == 1) {
            ModelFamilies.Fit fit = fits.getFirst();
            return noted(
                    renamed(d.held(), fit.naming(), settings),
                    "those of Hugging Face, by the bundled family %s, which fits every name and shape"
                            .formatted(fit.name()));
        }
        if (sure && !ModelFamilies.isHuggingFace(held)) {
            throw new RefusedException(
                    d.source().taken().folder().toString(),
                    "no bundled family has these names and shapes (%s, ..)"
                            .formatted(held.isEmpty() ? "none" : held.getFirst().name()),
                    "one of %s".formatted(String.join(", ", ModelFamilies.names(""))),
                    "write the renames and name them, --spec FILE; --set gives numbers such as"
                        + " heads that neither config.json nor the checkpoint says; --names keep"
                        + " leaves the names");
        }
        return d.held();
    }

    static RefusedException several(Described d, List<ModelFamilies.Fit> fits, String option) {
        List<String> names = fits.stream().map(ModelFamilies.Fit::name).toList();
        return new RefusedException(
                d.source().taken().folder().toString(),
                "%d bundled families fit every name and shape: %s"
                        .formatted(names.size(), String.join(", ", names)),
                "one",
                "name it: %s %s".formatted(option, names.getFirst()));
    }

    static Inventory noted(Inventory inventory, String note) {
        List<Finding> findings = new ArrayList<>(inventory.findings());
        findings.add(new Finding("names", note));
        return new Inventory(
                inventory.index(),
                inventory.parameters(),
                inventory.carried(),
                inventory.origin(),
                findings);
    }
}
