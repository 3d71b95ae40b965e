package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.Finding;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.PartConfig;
import io.ucp.formats.RefusedException;
import io.ucp.io.ByteSource;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/// Parts of a model, taken out of it: the parameters whose names begin with the same words.
///
/// @param components the first words of names, `vision_tower` or `vision_tower.vision_model`
/// @param strip the parameters are then called what follows
public record Part(List<String> components, boolean strip) {
    public Part {
        components = List.copyOf(components);
    }

    /// What is left, and what was left behind because it is of the whole.
    ///
    /// @param losses one line each
    record Taken(Inventory inventory, List<String> losses) {}

    /// @throws RefusedException where no parameter has a name that begins so, or one has nothing
    ///   behind it that would be left of its name
    Taken of(Inventory whole) throws IOException {
        components.forEach(component -> require(component, whole));
        List<Parameter> kept = new ArrayList<>();
        List<String> outside = new ArrayList<>();
        for (Parameter parameter : whole.parameters()) {
            if (isIn(parameter.name())) {
                kept.add(named(parameter, outside));
            }
        }
        List<Finding> findings = new ArrayList<>(whole.findings());
        findings.add(
                new Finding(
                        "part",
                        "%d of %d parameters: those of %s"
                                .formatted(
                                        kept.size(),
                                        whole.parameters().size(),
                                        String.join(", ", components))));
        List<String> losses = new ArrayList<>();
        if (!outside.isEmpty()) {
            losses.add(
                    "left out, for they are names in another part: " + String.join(", ", outside));
        }
        List<CarriedFile> carried = new ArrayList<>();
        List<String> left = new ArrayList<>();
        for (CarriedFile file : whole.carried()) {
            if (file.role().equals(CarriedFile.FORM)) {
                continue;
            }
            if (file.root().isPresent() || (strip && isNamed(file, PartConfig.WHOLE))) {
                left.add(file.path());
            } else if (strip && isNamed(file, PartConfig.FILE)) {
                carried.addAll(configured(file, findings));
            } else {
                carried.add(file);
            }
        }
        if (!left.isEmpty()) {
            losses.add("left behind, for they are of the whole model: " + Foreign.named(left));
        }
        Inventory inventory =
                new Inventory(whole.index(), kept, carried, withoutSpec(whole.origin()), findings);
        return new Taken(inventory, losses);
    }

    /// Under the names of the whole its `config.json` is the part's too; without them the part has
    /// its own, and the whole's goes along for [Joining].
    private List<CarriedFile> configured(CarriedFile whole, List<Finding> findings)
            throws IOException {
        List<CarriedFile> files = new ArrayList<>();
        files.add(named(whole, PartConfig.WHOLE, whole.file()));
        Optional<PartConfig.Own> own =
                components.size() == 1 && whole.file().isPresent()
                        ? PartConfig.of(whole.file().get(), components.getFirst())
                        : Optional.empty();
        own.ifPresent(o -> files.add(named(whole, PartConfig.FILE, Optional.of(o.file()))));
        findings.add(
                new Finding(
                        PartConfig.FILE,
                        own.map(o -> "it is `%s` of the whole's".formatted(o.key()))
                                        .orElse(
                                                "none, for the whole's says nothing of this part by"
                                                        + " itself")
                                + "; the whole's is %s, which `ucp join` makes it again"
                                        .formatted(PartConfig.WHOLE)));
        return files;
    }

    /// In the same folder.
    static CarriedFile named(CarriedFile file, String name, Optional<ByteSource> bytes) {
        String folder = file.path().substring(0, file.path().lastIndexOf('/') + 1);
        return new CarriedFile(
                folder + name, file.role(), file.at(), bytes, file.root(), file.storages());
    }

    static boolean isNamed(CarriedFile file, String name) {
        return file.path().substring(file.path().lastIndexOf('/') + 1).equals(name);
    }

    /// The spec is of the whole.
    static Origin withoutSpec(Origin origin) {
        return new Origin(
                origin.format(), origin.tag(), origin.stage(), origin.mesh(), Optional.empty());
    }

    private static void require(String component, Inventory whole) {
        if (whole.parameters().stream().noneMatch(p -> isOf(component, p.name()))) {
            Map<String, Integer> parts = new LinkedHashMap<>();
            whole.parameters().forEach(p -> parts.merge(first(p.name()), 1, Integer::sum));
            throw new RefusedException(
                    "--component " + component,
                    "no parameter has a name that begins so",
                    parts.entrySet().stream()
                            .limit(12)
                            .map(e -> "%s (parameters: %d)".formatted(e.getKey(), e.getValue()))
                            .collect(Collectors.joining(", ", "one of ", "")),
                    "name whole words, up to a dot; --names keep goes by the source's own names");
        }
    }

    private static String first(String name) {
        int dot = name.indexOf('.');
        return dot < 0 ? name : name.substring(0, dot);
    }

    private boolean isIn(String name) {
        return components.stream().anyMatch(component -> isOf(component, name));
    }

    private static boolean isOf(String component, String name) {
        return name.equals(component) || name.startsWith(component + ".");
    }

    private Parameter named(Parameter parameter, List<String> outside) {
        List<String> aliases = new ArrayList<>();
        for (String alias : parameter.facts().aliases()) {
            if (isIn(alias)) {
                aliases.add(stripped(alias));
            } else {
                outside.add(alias);
            }
        }
        return renamed(parameter, stripped(parameter.name()), aliases);
    }

    private String stripped(String name) {
        if (!strip) {
            return name;
        }
        for (String component : components) {
            if (name.startsWith(component + ".")) {
                return name.substring(component.length() + 1);
            }
        }
        throw new RefusedException(
                name,
                "nothing is left of its name without the component",
                "names that go on behind it (--strip)",
                "leave --strip out");
    }

    /// Every name with `prefix.` before it.
    static Inventory under(String prefix, Inventory part) {
        UnaryOperator<String> whole = name -> prefix + "." + name;
        List<Parameter> named = new ArrayList<>();
        for (Parameter parameter : part.parameters()) {
            named.add(
                    renamed(
                            parameter,
                            whole.apply(parameter.name()),
                            parameter.facts().aliases().stream().map(whole).toList()));
        }
        return new Inventory(part.index(), named, part.carried(), part.origin(), part.findings());
    }

    private static Parameter renamed(Parameter parameter, String name, List<String> aliases) {
        ParameterFacts p = parameter.facts();
        return new Parameter(
                new ParameterFacts(
                        name,
                        p.shape(),
                        p.realShape(),
                        p.states(),
                        p.scalars(),
                        p.split(),
                        p.trainable(),
                        p.buffer(),
                        p.optimizerGroup(),
                        aliases,
                        p.digests(),
                        p.notes()),
                parameter.states());
    }
}
