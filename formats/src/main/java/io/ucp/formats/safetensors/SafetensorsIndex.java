package io.ucp.formats.safetensors;

import com.fasterxml.jackson.databind.JsonNode;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.hub.ModelConfig;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.hub.WeightMap;
import io.ucp.formats.safetensors.Header.Tensor;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/// Reads a folder, or a file by itself: headers, index, `config.json`, and where each tensor is.
final class SafetensorsIndex {
    private static final String TRAINER_STATE = "trainer_state.json";

    private final Candidate candidate;
    private final boolean alone;
    private final ModelFolder folder;
    private final Optional<WeightMap> map;
    private final List<Header> headers;
    private final List<Finding> findings = new ArrayList<>();

    /// A tensor, and where it begins in the whole.
    private record Held(Header header, Tensor tensor, long[] offsets) {}

    private SafetensorsIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        this.alone = Files.isRegularFile(candidate.folder());
        ModelFolder found =
                ModelFolder.of(candidate.folder()).orElseThrow(() -> nothing(candidate.folder()));
        this.map =
                found.index().isPresent()
                        ? Optional.of(WeightMap.read(found.folder().resolve(found.index().get())))
                        : Optional.empty();
        this.folder = map.isPresent() ? found.named(map.get()) : found;
        folder.requireAll(alone);
        this.headers = folder.headers();
    }

    private static IncompleteCheckpointException nothing(Path path) {
        return new IncompleteCheckpointException(
                path.toString(),
                "no safetensors file",
                "model.safetensors, or an index with its files",
                "name the folder of the model");
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new SafetensorsIndex(candidate).index();
    }

    private CheckpointIndex index() throws IOException {
        Map<String, List<Held>> held = held();
        StateFiles states = alone ? StateFiles.NONE : StateFiles.read(folder.folder());
        SideFiles side = alone ? SideFiles.NONE : sideFiles(states);
        findings.addAll(side.findings());
        ModelConfig config = config(side);
        Map<String, String> aliases = aliases(config, held.keySet());
        List<WholeParameter> wholes = wholes(held, aliases, states);
        Map<String, ParameterFacts> byName = new HashMap<>();
        wholes.forEach(whole -> byName.put(whole.facts().name(), whole.facts()));
        states.fit(folder.folder(), byName);
        List<CarriedFile> carried = new ArrayList<>(KeptFiles.carried(folder, headers));
        carried.addAll(side.carried());
        OptionalLong iteration =
                states.facts().iteration().isPresent()
                        ? states.facts().iteration()
                        : trainerStep(side);
        return new CheckpointIndex(
                SafetensorsFormat.NAME,
                candidate.folder(),
                candidate.tag(),
                iteration,
                -1,
                List.of(),
                List.of(),
                List.of(),
                wholes,
                LayoutHints.of(wholes, aliases, config.numbers()),
                carried,
                new Origin(
                        SafetensorsFormat.NAME, candidate.tag(), -1, List.of(), Optional.empty()),
                findings);
    }

    private Map<String, List<Held>> held() throws IOException {
        boolean cut = false;
        Map<String, List<Held>> held = new LinkedHashMap<>();
        for (Header header : headers) {
            Optional<Map<String, long[]>> offsets = SavedOffsets.of(header);
            cut |= offsets.isPresent();
            for (Map.Entry<String, Tensor> each : header.tensors().entrySet()) {
                String name = each.getKey();
                Tensor tensor = each.getValue();
                long[] at =
                        offsets.flatMap(o -> Optional.ofNullable(o.get(name)))
                                .orElseGet(() -> new long[rank(tensor)]);
                List<Held> pieces = held.computeIfAbsent(name, _ -> new ArrayList<>());
                refuseTwice(name, pieces, new Held(header, tensor, at), offsets.isPresent());
                pieces.add(new Held(header, tensor, at));
            }
        }
        if (map.isPresent() && !cut) {
            map.get().agree(Headers.holders(headers));
        }
        map.ifPresent(m -> checkTotal(m, cutTotal()));
        if (cut) {
            findings.add(
                    Finding.unproven(
                            folder.folder().toString(),
                            "pieces of tensors as ranks saved them (DCP): a whole is as large as"
                                    + " its pieces reach, and that no file of a last rank is"
                                    + " missing cannot be seen"));
        }
        for (Map.Entry<String, List<Held>> each : held.entrySet()) {
            requireCountable(each.getKey(), each.getValue());
        }
        return held;
    }

    /// @throws MalformedFileException where the whole would have more bytes than 64 bits count
    private static void requireCountable(String name, List<Held> pieces)
            throws MalformedFileException {
        long[] dims = reach(pieces);
        Held first = pieces.getFirst();
        try {
            long size = first.tensor().dtype().width();
            for (long dim : dims) {
                size = Math.multiplyExact(size, Math.max(1, dim));
            }
        } catch (ArithmeticException _) {
            throw Header.malformed(
                    first.header().source().path(),
                    first.tensor().at(),
                    "pieces of '%s' that reach to %s".formatted(name, Arrays.toString(dims)),
                    "a whole whose bytes 64 bits can count");
        }
    }

    /// The extents of the whole.
    private static long[] reach(List<Held> pieces) {
        long[] dims = new long[rank(pieces.getFirst().tensor())];
        for (Held piece : pieces) {
            for (int d = 0; d < dims.length; d++) {
                dims[d] = Math.max(dims[d], piece.offsets()[d] + piece.tensor().shape().dim(d));
            }
        }
        return dims;
    }

    private static int rank(Tensor tensor) {
        return tensor.shape().rank();
    }

    /// Pieces of a tensor are at different places of the whole, and of one dtype.
    private static void refuseTwice(String name, List<Held> before, Held now, boolean cut)
            throws MalformedFileException {
        for (Held other : before) {
            Path file = now.header().source().path();
            Path where = other.header().source().path().getFileName();
            if (!cut || Arrays.equals(other.offsets(), now.offsets())) {
                throw Header.malformed(
                        file,
                        now.tensor().at(),
                        "'%s', which %s holds too".formatted(name, where),
                        cut ? "each piece once" : "each tensor once");
            }
            if (other.tensor().dtype() != now.tensor().dtype()
                    || rank(other.tensor()) != rank(now.tensor())) {
                throw Header.malformed(
                        file,
                        now.tensor().at(),
                        "a piece of '%s' of %s %s"
                                .formatted(
                                        name,
                                        now.tensor().dtype().torchName(),
                                        now.tensor().shape()),
                        "one that goes with %s %s in %s"
                                .formatted(
                                        other.tensor().dtype().torchName(),
                                        other.tensor().shape(),
                                        where));
            }
        }
    }

    private long cutTotal() {
        return headers.stream()
                .flatMap(header -> header.tensors().values().stream())
                .mapToLong(Tensor::size)
                .sum();
    }

    private void checkTotal(WeightMap index, long size) {
        OptionalLong says = index.totalSize();
        if (says.isPresent() && says.getAsLong() != size) {
            findings.add(
                    new Finding(
                            index.path().getFileName().toString(),
                            "total_size is %d; the tensors have %d bytes"
                                    .formatted(says.getAsLong(), size)));
        }
    }

    private SideFiles sideFiles(StateFiles states) throws IOException {
        Set<String> taken = new HashSet<>(folder.files());
        folder.index().ifPresent(taken::add);
        if (states.isPresent()) {
            taken.addAll(StateFiles.names(folder.folder()));
        }
        return SideFiles.read(folder.folder(), taken);
    }

    private static Optional<ByteSource> file(SideFiles side, String name) {
        return side.carried().stream()
                .filter(file -> file.path().equals(name))
                .flatMap(file -> file.file().stream())
                .findFirst();
    }

    private ModelConfig config(SideFiles side) throws IOException {
        Optional<ByteSource> file = file(side, ModelConfig.FILE);
        if (file.isEmpty()) {
            return ModelConfig.NONE;
        }
        ModelConfig config = ModelConfig.read(file.get());
        if (config.root().isMissingNode()) {
            findings.add(
                    new Finding(ModelConfig.FILE, "no JSON object; what it should say is unknown"));
        }
        return config;
    }

    private static OptionalLong trainerStep(SideFiles side) throws IOException {
        Optional<ByteSource> file = file(side, TRAINER_STATE);
        if (file.isEmpty()) {
            return OptionalLong.empty();
        }
        JsonNode step = ModelConfig.read(file.get()).root().path("global_step");
        return step.isIntegralNumber() ? OptionalLong.of(step.asLong()) : OptionalLong.empty();
    }

    /// What the configuration ties, and what `save_model` wrote of names that it left out.
    private Map<String, String> aliases(ModelConfig config, Set<String> stored) {
        Map<String, String> aliases = new TreeMap<>(config.tied(stored));
        aliases.forEach(
                (alias, name) ->
                        findings.add(
                                new Finding(
                                        ModelConfig.FILE,
                                        "%s is tied to %s, and stored once"
                                                .formatted(alias, name))));
        for (Header header : headers) {
            header.metadata()
                    .forEach(
                            (alias, name) -> {
                                if (stored.contains(name) && !stored.contains(alias)) {
                                    aliases.put(alias, name);
                                }
                            });
        }
        return aliases;
    }

    private List<WholeParameter> wholes(
            Map<String, List<Held>> held, Map<String, String> aliases, StateFiles states) {
        Map<String, List<String>> named = new HashMap<>();
        aliases.forEach(
                (alias, name) -> named.computeIfAbsent(name, _ -> new ArrayList<>()).add(alias));
        List<WholeParameter> wholes = new ArrayList<>();
        held.forEach(
                (name, pieces) ->
                        wholes.add(
                                whole(name, pieces, named.getOrDefault(name, List.of()), states)));
        return wholes;
    }

    private static WholeParameter whole(
            String name, List<Held> pieces, List<String> aliases, StateFiles states) {
        Tensor first = pieces.getFirst().tensor();
        Shape shape = Shape.of(reach(pieces));
        Map<String, List<Placed>> placed = new LinkedHashMap<>();
        Map<String, DType> dtypes = new LinkedHashMap<>();
        placed.put(ModelWeights.WEIGHT, pieces.stream().map(p -> placed(name, p, shape)).toList());
        dtypes.put(ModelWeights.WEIGHT, first.dtype());
        states.states()
                .getOrDefault(name, Map.of())
                .forEach(
                        (state, tensor) -> {
                            placed.put(state, List.of(placed(tensor)));
                            dtypes.put(state, tensor.dtype());
                        });
        Map<String, Scalar> scalars = states.scalars().getOrDefault(name, Map.of());
        StateFiles.Facts known = states.facts();
        boolean buffer =
                known.buffers().contains(name)
                        || (known.groups().isEmpty() && isCount(first.dtype()));
        return new WholeParameter(
                new ParameterFacts(
                        name,
                        shape,
                        shape,
                        dtypes,
                        scalars,
                        Split.UNKNOWN,
                        !buffer && !known.frozen().contains(name) && Floats.covers(first.dtype()),
                        buffer,
                        known.groups().getOrDefault(name, -1),
                        aliases,
                        Map.of(),
                        List.of()),
                placed);
    }

    private static Placed placed(String name, Held piece, Shape shape) {
        TensorEntry entry = piece.header().entry(name);
        return new Placed(entry, Piece.box(shape, piece.offsets(), entry.shape().dims()));
    }

    private static Placed placed(TensorEntry tensor) {
        return new Placed(tensor, Piece.whole(tensor.shape()));
    }

    /// Whole numbers and truths are not trained.
    private static boolean isCount(DType dtype) {
        return switch (dtype) {
            case INT64, INT32, INT16, BOOL -> true;
            case DType _ -> false;
        };
    }
}
