package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The source's files, by where they belong: their trees are what the new ones are made of. A rank
/// that the source has gets what its own file said; another gets that of the source's rank at the
/// same place modulo the source's degrees.
final class SourceFiles {
    static final String MODEL_STATES = "model_states";
    static final String OPTIMIZER = "optimizer";

    /// `zero/optimizer_state.pt` of DeepSpeed's universal form.
    static final String OPTIMIZER_STATE = "optimizer_state";

    private static final Pattern LAYER =
            Pattern.compile("layer_(\\d+)(?:-[a-z]+_(\\d+))?-model_states\\.pt");

    private final Map<Place, CarriedFile> models = new TreeMap<>();
    private final Map<Place, CarriedFile> optimizers = new TreeMap<>();
    private final Map<Integer, Map<Integer, CarriedFile>> layers = new TreeMap<>();
    private final boolean layersNameRanks;
    private final List<CarriedFile> side = new ArrayList<>();
    private final Optional<CarriedFile> common;
    private final Ranks ranks;
    private final int expertRanks;
    private final int expertReplicas;

    private record Place(int mp, int dp) implements Comparable<Place> {
        @Override
        public int compareTo(Place o) {
            return mp != o.mp ? Integer.compare(mp, o.mp) : Integer.compare(dp, o.dp);
        }
    }

    /// @param needsOptimizer false where weights alone are written
    SourceFiles(WriteRequest request, boolean needsOptimizer) {
        List<AxisDegree> mesh = request.origin().mesh();
        this.ranks = new Ranks(degree(mesh, "pp"), degree(mesh, "dp"), degree(mesh, "tp"));
        this.expertRanks =
                mesh.stream().anyMatch(a -> a.axis().equals("ep")) ? degree(mesh, "ep") : 0;
        this.expertReplicas = degree(mesh, "edp");
        boolean named = false;
        @Nullable CarriedFile common = null;
        for (CarriedFile file : request.carried()) {
            Matcher layer = LAYER.matcher(file.path());
            int mp = file.at().on("pp") * ranks.tp() + file.at().on("tp");
            Place place = new Place(mp, file.at().on("dp"));
            switch (file.role()) {
                case MODEL_STATES -> models.put(place, file);
                case OPTIMIZER -> optimizers.put(place, file);
                case OPTIMIZER_STATE -> common = file;
                case "layer" -> {
                    if (layer.matches()) {
                        named |= layer.group(2) != null;
                        int tp = layer.group(2) == null ? 0 : Integer.parseInt(layer.group(2));
                        layers.computeIfAbsent(
                                        Integer.parseInt(layer.group(1)), _ -> new TreeMap<>())
                                .put(tp, file);
                    }
                }
                case "side", "beside" -> side.add(file);
                case "expert" -> refuseUnnumbered(file);
                case "expert_optimizer" -> {
                    // Made anew; the first is in the model states too.
                }
                default ->
                        throw new RefusedException(
                                file.path(),
                                "a file of the role `%s`".formatted(file.role()),
                                "files of a job with ZeRO",
                                "--to universal keeps it");
            }
        }
        this.layersNameRanks = named;
        this.common = Optional.ofNullable(common);
        if (!request.origin().format().equals("deepspeed") || models.isEmpty()) {
            throw new RefusedException(
                    request.tag(),
                    "no DeepSpeed job wrote this state (%s): there are no model states to go by"
                            .formatted(request.origin().format()),
                    "a state that came from a rank-sharded DeepSpeed checkpoint",
                    "--to deepspeed-universal, which DeepSpeed loads at any number of ranks");
        }
        boolean any = !optimizers.isEmpty() || this.common.isPresent() || hasWholeOptimizer();
        if (needsOptimizer && !any) {
            throw new RefusedException(
                    request.tag(),
                    "the source has no optimizer file of a rank",
                    "the optimizer's states, or a universal form that has them",
                    "--weights-only writes the weights alone");
        }
    }

    /// Of a job without ZeRO.
    boolean hasWholeOptimizer() {
        return firstModel()
                .root()
                .flatMap(r -> r.find(OptimizerModel.WHOLE))
                .filter(o -> !o.isNone())
                .isPresent();
    }

    /// Files of experts are made anew, and DeepSpeed reads those without a layer's number for
    /// models of an older form only.
    private static void refuseUnnumbered(CarriedFile file) {
        if (file.path().startsWith("expert_")) {
            throw new RefusedException(
                    file.path(),
                    "experts of all layers in one file, as DeepSpeed before 0.6 saved them",
                    "a file for each layer's experts, `layer_L_expert_E_..`",
                    "load the checkpoint with the DeepSpeed that wrote it and save it with a newer"
                            + " one");
        }
    }

    private static int degree(List<AxisDegree> mesh, String axis) {
        return mesh.stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }

    /// The degrees of the job that wrote the source.
    Ranks ranks() {
        return ranks;
    }

    /// Expert-parallel ranks, 0 where there are no experts.
    int expertRanks() {
        return expertRanks;
    }

    /// Ranks that hold the same experts.
    int expertReplicas() {
        return expertReplicas;
    }

    /// The source has this model-parallel coordinate.
    boolean has(Ranks target, int mp) {
        return mp / target.tp() < ranks.pp() && mp % target.tp() < ranks.tp();
    }

    CarriedFile model(Ranks target, int mp, int dp) {
        int source = (mp / target.tp() % ranks.pp()) * ranks.tp() + mp % target.tp() % ranks.tp();
        return first(
                models.get(new Place(source, dp % ranks.dp())),
                models.get(new Place(source, 0)),
                models.values().iterator().next());
    }

    private static CarriedFile first(
            @Nullable CarriedFile a, @Nullable CarriedFile b, CarriedFile c) {
        return a != null ? a : b != null ? b : c;
    }

    /// Every model states file, in the order of ranks.
    List<CarriedFile> models() {
        return List.copyOf(models.values());
    }

    CarriedFile firstModel() {
        return models.values().iterator().next();
    }

    Optional<CarriedFile> firstOptimizer() {
        return optimizers.values().stream().findFirst();
    }

    /// What the optimizer files of all ranks have in common, where the source is DeepSpeed's
    /// universal form.
    Optional<CarriedFile> common() {
        return common;
    }

    List<CarriedFile> optimizers() {
        return List.copyOf(optimizers.values());
    }

    /// Layer number -> tensor-parallel rank -> file; empty where the job is no pipeline.
    Map<Integer, Map<Integer, CarriedFile>> layers() {
        return layers;
    }

    boolean layersNameRanks() {
        return layersNameRanks;
    }

    List<CarriedFile> side() {
        return side;
    }

    static PyDict dict(CarriedFile file) {
        return file.root()
                .flatMap(PickleValue::asDict)
                .orElseThrow(
                        () ->
                                new RefusedException(
                                        file.path(),
                                        "no dict",
                                        "the states that DeepSpeed saves",
                                        "the file is of another program"));
    }

    /// A whole number that the first rank's model states have.
    Optional<Long> number(String... path) {
        var found = firstModel().root().flatMap(r -> r.find(path)).map(PickleValue::asLong);
        return found.isPresent() && found.get().isPresent()
                ? Optional.of(found.get().getAsLong())
                : Optional.empty();
    }
}
