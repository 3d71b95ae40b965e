package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The model's own copy of its parameters (state `weight`), its frozen parameters and its buffers.
///
/// An alias of a parameter (`shared_params`, or two names of one tensor) is no holding of its own.
/// ZeRO-3 keeps empty tensors in place of partitioned parameters: those are no holdings; what every
/// data-parallel rank has whole (buffers, persistent parameters) is a replica of the first's.
///
/// @param aliases alias -> canonical name
/// @param frozen parameters without optimizer state
/// @param layers where each layer file of a pipeline belongs, by its name
/// @param copies what stages train that have no file of it: a module that layers share; the tensor
///   is the first stage's
record Weights(
        List<HeldTensor> tensors,
        Map<String, String> aliases,
        Set<String> frozen,
        Set<String> buffers,
        Map<String, Coordinate> layers,
        List<HeldTensor> copies) {

    static final String WEIGHT = "weight";

    static Weights read(
            CheckpointFiles files,
            Degrees degrees,
            GroupHolders.Experts experts,
            List<Finding> findings)
            throws IOException {
        Collector collector = new Collector(files, degrees, findings);
        for (Map.Entry<CheckpointFiles.Rank, ModelStates> model : files.models().entrySet()) {
            Coordinate at = degrees.at(model.getKey().mp());
            collector.ofModel(
                    model.getValue(), files.perRank() ? at.with("dp", model.getKey().dp()) : at);
        }
        new PipelineLayers(files, degrees, collector).read();
        ExpertLayers.complete(files, degrees, experts.acrossTensor());
        for (int mp = 0; mp < degrees.mp(); mp++) {
            collector.allHeld(files.model(mp), degrees.at(mp));
        }
        for (CheckpointFile expert : inModelOrder(files.experts(), degrees)) {
            collector.ofExpert(expert, experts.acrossTensor());
        }
        collector.tell();
        return new Weights(
                collector.tensors,
                collector.aliases,
                collector.frozen,
                collector.buffers,
                collector.layers,
                collector.second);
    }

    /// What the optimizer of a model-parallel rank may train, experts apart, in the model's order.
    List<HeldTensor> trained(Coordinate at) {
        Set<String> seen = new HashSet<>();
        return Stream.concat(copies.stream(), tensors.stream())
                .filter(t -> t.at().equals(at) && !buffers.contains(t.name()))
                .filter(t -> seen.add(t.name()))
                .filter(
                        t ->
                                !(FileName.of(TagFolder.nameOf(t.tensor().source().path()))
                                        instanceof FileName.Expert))
                .toList();
    }

    /// Stage by stage, layer by layer, expert by expert: as optimizer groups have them.
    private static List<CheckpointFile> inModelOrder(
            List<CheckpointFile> experts, Degrees degrees) {
        return experts.stream()
                .sorted(
                        Comparator.comparing(
                                f -> (FileName.Expert) f.name(),
                                Comparator.<FileName.Expert>comparingInt(e -> e.mp() / degrees.tp())
                                        .thenComparingInt(FileName.Expert::layer)
                                        .thenComparingInt(FileName.Expert::expert)
                                        .thenComparingInt(FileName.Expert::mp)))
                .toList();
    }

    /// One place of bytes: two names of it are one tensor.
    private record Place(Path file, long offset, DType dtype, Shape shape, List<Long> strides) {
        static Place of(TensorEntry tensor) {
            return new Place(
                    tensor.source().path(),
                    tensor.offset(),
                    tensor.dtype(),
                    tensor.shape(),
                    Arrays.stream(tensor.strides()).boxed().toList());
        }
    }

    /// Which tensor is held where.
    private record Holding(String name, Coordinate at) {}

    static final class Collector {
        private final CheckpointFiles files;
        private final Degrees degrees;
        private final List<Finding> findings;
        private final List<HeldTensor> tensors = new ArrayList<>();
        private final Map<String, String> aliases = new LinkedHashMap<>();
        private final Set<String> frozen = new LinkedHashSet<>();
        private final Set<String> buffers = new LinkedHashSet<>();
        private final Map<String, Coordinate> layers = new LinkedHashMap<>();
        private final List<HeldTensor> second = new ArrayList<>();
        private final Map<Place, String> places = new HashMap<>();
        private final Set<Holding> held = new LinkedHashSet<>();
        private final Set<String> copies = new TreeSet<>();
        private final Set<String> unlisted = new TreeSet<>();
        private final Set<String> slices = new TreeSet<>();
        private final AutoEp autoEp;

        Collector(CheckpointFiles files, Degrees degrees, List<Finding> findings)
                throws IncompleteCheckpointException, MalformedFileException {
            this.autoEp = AutoEp.of(files.model(0));
            this.files = files;
            this.degrees = degrees;
            this.findings = findings;
            for (ModelStates model : files.models().values()) {
                Shared.into(aliases, model);
                buffers.addAll(model.buffers());
                model.frozen().ifPresent(f -> frozen.addAll(f.keySet()));
            }
        }

        void ofModel(ModelStates model, Coordinate at) throws IOException {
            Map<String, Shape> shapes = new LinkedHashMap<>(model.trainable());
            model.frozen().ifPresent(shapes::putAll);
            for (Map.Entry<String, TensorEntry> e : model.module().entrySet()) {
                String name = e.getKey();
                Shape known = shapes.get(name);
                if (known != null || buffers.contains(name)) {
                    hold(model.file(), name, at, e.getValue(), known);
                } else if (!aliases.containsKey(name)) {
                    unlisted(model, name, at, e.getValue());
                }
            }
            for (Map.Entry<String, TensorEntry> e : model.fragments().entrySet()) {
                // ZeRO-3's are parts: flat groups of their own.
                if (!files.perRank()) {
                    hold(model.file(), e.getKey(), at, e.getValue(), shapes.get(e.getKey()));
                }
            }
        }

        /// What no list of the file names. From stage 2 on the lists are complete; before, frozen
        /// parameters are in none. A model with experts repeats them under broken names.
        private void unlisted(ModelStates model, String name, Coordinate at, TensorEntry tensor)
                throws IOException {
            if (COPY.matcher(name).matches()) {
                if (files.experts().isEmpty()) {
                    throw files.missing(ExpertLayers.file(0, 0, 0));
                }
                copies.add(name);
            } else if (model.groups().isEmpty()) {
                hold(model.file(), name, at, tensor, null);
            } else if (!files.experts().isEmpty() && name.contains("expert")) {
                copies.add(name);
            } else if (model.frozen().isPresent()) {
                unlisted.add(name);
            } else if (!isAlias(name, tensor)) {
                frozen.add(name);
                hold(model.file(), name, at, tensor, null);
            }
        }

        /// A model that is in one file has every parameter that the file lists; experts have files
        /// of their own, and of ZeRO-3 the optimizer states have them.
        void allHeld(ModelStates model, Coordinate at) throws IOException {
            if (files.perRank() || model.module().isEmpty()) {
                return;
            }
            Map<String, Shape> shapes = new LinkedHashMap<>(model.trainable());
            model.frozen().ifPresent(shapes::putAll);
            for (String name : shapes.keySet()) {
                boolean elsewhere = !files.experts().isEmpty() && name.contains("expert");
                if (!elsewhere
                        && !holds(name, at)
                        && !holds(aliases.getOrDefault(name, name), at)) {
                    if (COPY.matcher(name).matches()) {
                        throw files.missing(ExpertLayers.file(0, 0, 0));
                    }
                    throw model.file()
                            .malformed(
                                    "it lists the parameter %s and does not hold it"
                                            .formatted(name),
                                    "every parameter that it lists, under `module`");
                }
            }
        }

        private boolean isAlias(String name, TensorEntry tensor) {
            String canonical = places.get(Place.of(tensor));
            if (canonical == null || canonical.equals(name) || tensor.shape().count() == 0) {
                return false;
            }
            aliases.put(name, canonical);
            return true;
        }

        /// @param known the shape that the file states, null where it states none
        void hold(
                CheckpointFile file,
                String name,
                Coordinate at,
                TensorEntry tensor,
                @Nullable Shape known)
                throws MalformedFileException {
            if (tensor.shape().count() == 0 && files.perRank()) {
                return;
            }
            if (known != null && !known.equals(tensor.shape())) {
                throw file.malformed(
                        "%s has the shape %s".formatted(name, tensor.shape()),
                        "%s, as the checkpoint lists it".formatted(known));
            }
            if (known == null && isAlias(name, tensor)) {
                return;
            }
            // What is held once more is compared with what was held before.
            held.add(new Holding(name, at));
            places.put(Place.of(tensor), name);
            tensors.add(new HeldTensor(name, WEIGHT, at, tensor));
        }

        List<Finding> findings() {
            return findings;
        }

        /// What a stage trains that has no file of it.
        void copy(String name, Coordinate at, TensorEntry first) {
            second.add(new HeldTensor(name, WEIGHT, at, first));
        }

        /// A layer of no stage's parameters: one without parameters, or of a job without ZeRO.
        void place(CheckpointFile file, Coordinate at, boolean staged) {
            layers.put(file.label(), at);
            if (!staged) {
                findings.add(
                        new Finding(
                                file.label(),
                                "no file says which stage has this layer: its tensors have no"
                                        + " stage"));
            }
        }

        /// Before stage 2 frozen parameters are in no list.
        void unlistedInLayer(String name) {
            boolean lists = files.models().values().stream().anyMatch(m -> m.frozen().isPresent());
            boolean sharded =
                    files.models().values().stream().anyMatch(m -> m.groups().isPresent());
            if (sharded && !lists && !buffers.contains(name)) {
                frozen.add(name);
            }
        }

        boolean holds(String name, Coordinate at) {
            return held.contains(new Holding(name, at));
        }

        void ofExpert(CheckpointFile file, boolean acrossTensor) throws MalformedFileException {
            Coordinate own = degrees.at(((FileName.Expert) file.name()).mp());
            Coordinate at = acrossTensor ? own.without("tp") : own;
            Map<String, TensorEntry> module = new LinkedHashMap<>();
            ModelStates.flatten(
                    file, file.dict(file.root(), "the state dict of an expert"), module);
            for (Map.Entry<String, TensorEntry> e : module.entrySet()) {
                Optional<AutoEp.Rows> rows = autoEp.rows(file, e.getKey(), e.getValue());
                if (rows.isPresent()) {
                    tensors.add(
                            new HeldTensor(
                                    rows.get().name(),
                                    WEIGHT,
                                    at.with("ep", rows.get().rank()),
                                    e.getValue(),
                                    rows.get().shape(),
                                    rows.get().from()));
                } else if (SLICE.matcher(e.getKey()).matches()) {
                    slices.add(e.getKey());
                } else {
                    hold(file, e.getKey(), at, e.getValue(), null);
                }
            }
        }

        /// DeepSpeed takes experts out of the module that it saves.
        private static final Pattern COPY = Pattern.compile(".*\\.deepspeed_experts\\.\\d+\\..*");

        /// AutoEP cuts its fused experts (`experts.w1`) to a file an expert (`experts.w1.3`), and
        /// lists their layers.
        private static final Pattern SLICE = Pattern.compile(".*\\.w[123]\\.\\d+");

        void tell() {
            tell(
                    copies,
                    "are copies of experts under names that no parameter has; they stay in the"
                            + " file, the experts are taken from their own files");
            tell(
                    unlisted,
                    "are neither parameters nor buffers by the file's lists; they stay in it");
            tell(
                    slices,
                    "are slices of fused experts; they stay in their files, the experts are taken"
                            + " from the optimizer's");
            if (files.models().values().stream().noneMatch(m -> m.frozen().isPresent())) {
                tell(
                        frozen,
                        "have no optimizer state and are no buffers: taken as frozen parameters");
            }
        }

        private void tell(Set<String> names, String what) {
            if (!names.isEmpty()) {
                findings.add(
                        new Finding(
                                names.iterator().next(),
                                names.size() == 1
                                        ? "this tensor is one of those that " + what
                                        : "this and %d more tensors %s"
                                                .formatted(names.size() - 1, what)));
            }
        }
    }
}
