package io.ucp.formats.hub;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.training.StateDictKeys;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// The folder of a model in the making: what every form of it has, and what has no place in any.
public final class FolderLayout {
    private final WriteRequest request;
    private final WritingOptions options;
    private final ModelConfig config;
    private final ModelWeights weights;
    private final List<TargetFile> files = new ArrayList<>();
    private final Set<String> taken = new HashSet<>();
    private boolean keepsStates;

    private FolderLayout(WriteRequest request, WritingOptions options) {
        this.request = request;
        this.options = options;
        this.config = config(request.carried());
        this.weights = ModelWeights.of(request, options.dtype(), config);
    }

    public static FolderLayout of(WriteRequest request, WritingOptions options) {
        return new FolderLayout(request, options);
    }

    private static ModelConfig config(List<CarriedFile> carried) {
        Optional<CarriedFile> file = SideFiles.config(carried);
        try {
            return file.isPresent() && file.get().file().isPresent()
                    ? ModelConfig.read(file.get().file().get())
                    : ModelConfig.NONE;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public ModelConfig config() {
        return config;
    }

    public ModelWeights weights() {
        return weights;
    }

    /// Parameters that have a weight here, in order.
    public List<ParameterFacts> parameters() {
        return request.parameters().stream()
                .filter(p -> weights.byParameter().containsKey(p.name()))
                .toList();
    }

    public void add(TargetFile file) {
        files.add(file);
    }

    public void add(String path, byte[] bytes) {
        files.add(
                new TargetFile(
                        path,
                        bytes.length,
                        List.of(new Part.Literal(0, bytes)),
                        List.of(),
                        Optional.empty()));
    }

    /// A file that is on disk in its own form.
    public static TargetFile copied(CarriedFile file) {
        return SideFiles.written(file, file.path());
    }

    /// What of the source is written again in another way than as a file beside.
    public void take(CarriedFile file) {
        taken.add(file.path());
    }

    /// All states are in the files that were added.
    public void keepsStates() {
        keepsStates = true;
    }

    /// Whether there are other states than weights, and they are to be written.
    public boolean writesStates() {
        return options.withOptimizer() && !otherStates().isEmpty();
    }

    private Set<String> otherStates() {
        Set<String> names = new TreeSet<>();
        for (ParameterFacts p : parameters()) {
            names.addAll(p.states().keySet());
            names.addAll(p.scalars().keySet());
        }
        names.remove(ModelWeights.WEIGHT);
        return names;
    }

    /// With the files beside, and what is to be said.
    public TargetTree tree() {
        List<String> losses = new ArrayList<>();
        if (!weights.missing().isEmpty()) {
            int more = weights.missing().size() - 1;
            losses.add(
                    "%s has neither a weight nor a master: left out with all states%s"
                            .formatted(
                                    weights.missing().getFirst(),
                                    more == 0 ? "" : ", as have %d more".formatted(more)));
        }
        Set<String> left = otherStates();
        if (!keepsStates && !options.withOptimizer() && !left.isEmpty()) {
            losses.add(
                    "left out: %s of %d parameters (--with-optimizer keeps them)"
                            .formatted(
                                    String.join(", ", left),
                                    parameters().stream()
                                            .filter(FolderLayout::hasOtherStates)
                                            .count()));
        }
        List<String> notes = new ArrayList<>(keepsStates ? List.of() : weights.notes());
        beside(losses);
        boolean configured = files.stream().anyMatch(f -> f.path().equals(ModelConfig.FILE));
        if (!configured && !keepsStates) {
            notes.add(
                    "the source has no %s: libraries that make the model from its folder need one"
                            .formatted(ModelConfig.FILE));
        }
        return new TargetTree(files, _ -> List.of(), List.of(), losses, notes);
    }

    private static boolean hasOtherStates(ParameterFacts p) {
        return !p.scalars().isEmpty()
                || p.states().keySet().stream().anyMatch(s -> !s.equals(ModelWeights.WEIGHT));
    }

    private void beside(List<String> losses) {
        Set<String> names = new HashSet<>();
        files.forEach(file -> names.add(file.path()));
        List<String> left = new ArrayList<>();
        for (CarriedFile file : request.carried()) {
            Optional<String> name = SideFiles.nameOf(file);
            String role = file.roleBefore();
            if (taken.contains(file.path())
                    || role.equals(CarriedFile.FORM)
                    || role.equals(StateDictKeys.OBJECT)) {
                continue;
            }
            if (role.equals(StateDictKeys.SHARDED)) {
                without(
                        "of the state dict, for which a model's folder has no place",
                        StateDictKeys.besideParameters(file, request.parameters()),
                        "key",
                        losses);
                continue;
            }
            if (name.isPresent() && names.add(name.get())) {
                files.add(SideFiles.written(file, name.get()));
            } else {
                left.add(file.path());
            }
        }
        without("left behind, for a model's folder has no place for them", left, "file", losses);
    }

    private static void without(String what, List<String> left, String one, List<String> losses) {
        if (left.isEmpty()) {
            return;
        }
        int more = left.size() - 4;
        losses.add(
                "%s: %s%s"
                        .formatted(
                                what,
                                String.join(", ", left.subList(0, Math.min(4, left.size()))),
                                more <= 0
                                        ? ""
                                        : " and %d more %s%s"
                                                .formatted(more, one, more == 1 ? "" : "s")));
    }
}
