package io.ucp.formats.mcore;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// The model as the ranks of a target hold it, chunk by chunk, in the order of their files.
public final class TargetModel {
    /// Something in the state dict of a chunk.
    ///
    /// @param local as the file names it
    /// @param global counting over the whole model
    /// @param shard what the rank holds, where it is a parameter or a buffer
    public record Slot(String local, String global, Optional<HeldShard> shard) {}

    private final ModelTemplate template;
    private final Grid grid;
    private final String embedding;
    private final String head;
    private final boolean tied;
    private final long experts;
    private final Map<String, ParameterFacts> facts = new LinkedHashMap<>();
    private final Map<String, Map<Coordinate, RankShard>> shards = new HashMap<>();

    /// Layers of each chunk, the first chunk of every stage first.
    private final List<List<Long>> chunks;

    /// @param template of the source
    public TargetModel(WriteRequest request, TargetJob job, Grid grid, ModelTemplate template) {
        this.grid = grid;
        this.template = template;
        for (ParameterFacts p : request.parameters()) {
            facts.put(p.name(), p);
        }
        job.shards()
                .forEach(
                        (name, held) -> {
                            Map<Coordinate, RankShard> byPlace = new HashMap<>();
                            held.forEach(s -> byPlace.put(s.at(), s));
                            shards.put(name, byPlace);
                        });
        this.embedding = Names.embedding(facts.keySet()).orElse(Names.EMBEDDING);
        this.head = Names.headOf(embedding);
        this.tied =
                facts.containsKey(embedding)
                        && !facts.containsKey(head)
                        && isTied(request, facts.get(embedding));
        this.experts =
                facts.keySet().stream()
                        .flatMap(n -> Names.expert(n).stream())
                        .mapToLong(e -> e + 1)
                        .max()
                        .orElse(0);
        this.chunks = chunks();
        requirePlaces();
    }

    private boolean isTied(WriteRequest request, ParameterFacts facts) {
        return facts.aliases().contains(head)
                || embedding.equals(request.hints().aliases().get(head));
    }

    public boolean tied() {
        return tied;
    }

    public List<Integer> layersOfChunks() {
        return chunks.stream().map(List::size).toList();
    }

    /// Of all parameters, by their names in the source.
    public Map<String, ParameterFacts> facts() {
        return facts;
    }

    /// Consecutive layers on one stage are a chunk.
    private List<List<Long>> chunks() {
        TreeMap<Long, Integer> stages = new TreeMap<>();
        shards.forEach(
                (name, held) ->
                        Names.layer(name)
                                .ifPresent(
                                        l ->
                                                held.keySet()
                                                        .forEach(
                                                                at -> stages.put(l, at.on("pp")))));
        List<List<Long>> found = new ArrayList<>();
        int before = -1;
        for (Map.Entry<Long, Integer> layer : stages.entrySet()) {
            if (layer.getValue() != before) {
                found.add(new ArrayList<>());
            }
            before = layer.getValue();
            found.getLast().add(layer.getKey());
        }
        int expected = grid.pp() * grid.virtual();
        if (found.size() != expected) {
            throw new RefusedException(
                    Roles.LEGACY,
                    "layers in %d runs over the stages".formatted(found.size()),
                    "%d, one for each of %d chunks of %d stages"
                            .formatted(expected, grid.virtual(), grid.pp()),
                    "name a spec with a rule `stage l over pp` for the layers, --spec");
        }
        return found;
    }

    /// Every parameter is of a model that Megatron-LM has a place for.
    private void requirePlaces() {
        Map<String, Boolean> placed = new HashMap<>();
        for (int stage = 0; stage < grid.pp(); stage++) {
            for (int ep = 0; ep < grid.ep(); ep++) {
                for (int c = 0; c < grid.virtual(); c++) {
                    names(c, stage, ep).values().forEach(n -> placed.put(n, true));
                }
            }
        }
        for (String name : facts.keySet()) {
            if (!placed.containsKey(name)) {
                throw new RefusedException(
                        name,
                        "a parameter that the files of the model do not name",
                        "parameters by the names of a Megatron-LM model",
                        "--to universal keeps it");
            }
        }
    }

    /// Local name -> global name of everything in a chunk.
    private Map<String, String> names(int chunk, int stage, int expertRank) {
        List<Long> layers = chunks.get(chunk * grid.pp() + stage);
        long each = experts / grid.ep();
        Map<String, String> names = new LinkedHashMap<>();
        if (chunk == 0 && stage == 0) {
            template.before().forEach(n -> names.put(n, n));
        }
        for (int i = 0; i < layers.size(); i++) {
            long by = i - layers.get(i);
            for (String name : template.layer(layers.get(i), each * expertRank, each)) {
                names.put(Names.moved(name, by, -each * expertRank), name);
            }
        }
        if (chunk == grid.virtual() - 1 && stage == grid.pp() - 1) {
            for (String name : template.after()) {
                if (tied && name.startsWith("output_layer.")) {
                    head(names);
                }
                if (!tied || !name.equals(head)) {
                    names.put(name, name);
                }
            }
            if (tied) {
                head(names);
            }
        }
        return names;
    }

    /// The last of several stages has a copy of the embeddings for its head.
    private void head(Map<String, String> names) {
        if (grid.pp() > 1) {
            names.putIfAbsent(head, embedding);
        }
    }

    /// Everything of a chunk as a rank holds it.
    public List<Slot> slots(int chunk, int tensorRank, int stage, int expertRank) {
        List<Slot> slots = new ArrayList<>();
        names(chunk, stage, expertRank)
                .forEach(
                        (local, global) ->
                                slots.add(
                                        new Slot(
                                                local,
                                                global,
                                                shard(
                                                        local,
                                                        global,
                                                        tensorRank,
                                                        stage,
                                                        expertRank))));
        return slots;
    }

    private Optional<HeldShard> shard(
            String local, String global, int tensorRank, int stage, int expertRank) {
        ParameterFacts known = facts.get(global);
        if (known == null) {
            return Optional.empty();
        }
        int at = local.equals(head) && tied ? 0 : stage;
        Coordinate place =
                grid.experts() && Names.isExpert(global)
                        ? grid.expert(at, expertRank, tensorRank)
                        : grid.dense(at, tensorRank);
        RankShard shard = shards.getOrDefault(global, Map.of()).get(place);
        if (shard == null) {
            throw new RefusedException(
                    global,
                    "no shard at %s; it has %s".formatted(place, shards.get(global)),
                    "one for every rank that has the parameter",
                    "name a spec that says how the ranks share it, --spec");
        }
        return Optional.of(new HeldShard(local, known, shard));
    }

    /// The parameters of a rank that are trained, chunk by chunk, in the order of the model.
    public List<List<HeldShard>> trained(int tensorRank, int stage, int expertRank) {
        List<List<HeldShard>> all = new ArrayList<>();
        for (int c = 0; c < grid.virtual(); c++) {
            all.add(
                    slots(c, tensorRank, stage, expertRank).stream()
                            .flatMap(s -> s.shard().stream())
                            .filter(HeldShard::isTrained)
                            .toList());
        }
        return all;
    }
}
