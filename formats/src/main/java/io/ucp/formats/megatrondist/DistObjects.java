package io.ucp.formats.megatrondist;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.mcore.RandomStates;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.mcore.SourceModel;
import io.ucp.formats.mcore.TargetArguments;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.megatrondist.StackedKey.Member;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/// The objects of a checkpoint that is to be written.
///
/// @param foreign no job of Megatron-LM wrote the state
record DistObjects(
        WriteRequest request,
        SourceModel source,
        Grid grid,
        ModelTemplate template,
        TargetModel model,
        Optional<OptimizerSettings> optimizer,
        boolean foreign) {
    private static final String RERUN = "rerun_state_machine";
    private static final String RNG = "rng_state";
    private static final String STATE = "._extra_state";
    private static final String HEAD_STATE = "output_layer" + STATE;

    /// @param rank that writes it
    /// @param storages those of its tensors, and maybe more
    record Item(String key, int rank, PickleValue tree, Map<String, Storage> storages) {}

    List<Item> items(List<String> losses, List<String> notes) {
        List<Item> items = new ArrayList<>();
        layers(items);
        Map<String, PickleValue> rerun = others(items, notes);
        int generators = items.size();
        generators(items, losses, notes);
        items.add(
                new Item(
                        DistFiles.COMMON_KEY,
                        0,
                        common(rerun, items.size() > generators, losses),
                        Map.of()));
        return items;
    }

    /// What all ranks have, in the order of the source.
    private PickleValue common(
            Map<String, PickleValue> more, boolean generators, List<String> losses) {
        TargetArguments arguments =
                TargetArguments.of(
                        source, template.chunks(), grid, model.layersOfChunks(), request);
        Map<String, PickleValue> common = new LinkedHashMap<>();
        for (PyDict.Entry entry : source.first().root().entries()) {
            String key = entry.key().asText().orElse("");
            switch (key) {
                case "args" ->
                        common.put(
                                key,
                                saved(
                                        grouped(arguments.changed(entry.value(), 0)),
                                        generators || !(foreign || isDropped()),
                                        optimizer.isPresent() || !foreign));
                case "optimizer" -> optimizer.ifPresent(o -> common.put(key, settings(o)));
                case RERUN -> losses.add(RERUN + " of each rank: its job begins with a new one");
                case RNG -> {}
                default -> {
                    if (!key.matches("model\\d*")) {
                        common.put(key, entry.value());
                    }
                }
            }
        }
        common.putAll(more);
        common.put("content_metadata", content());
        return PyDict.of(common);
    }

    private boolean isDropped() {
        return request.options().getOrDefault(MegatronDistFormat.RNG, "").equals("drop");
    }

    /// What is not there, Megatron-LM asks for unless `args` say so; a job's own do.
    private static PickleValue saved(PickleValue args, boolean generators, boolean optimizer) {
        PyDict changed = args.asDict().orElse(PyDict.empty());
        if (!generators) {
            changed = changed.with("no_save_rng", new PyBool(true));
        }
        if (!optimizer) {
            changed = changed.with("no_save_optim", new PyBool(true));
        }
        return args instanceof PyObject namespace ? namespace.withState(changed) : changed;
    }

    /// The keys do not tell that all experts of a layer are one matrix; core 0.9 had no option for
    /// it either.
    private PickleValue grouped(PickleValue args) {
        boolean unsaid =
                !GroupedExperts.said(source.arguments())
                        && model.facts().keySet().stream().anyMatch(GroupedExperts::is);
        if (!unsaid) {
            return args;
        }
        PyDict said = GroupedExperts.saying(args.asDict().orElse(PyDict.empty()));
        return args instanceof PyObject namespace ? namespace.withState(said) : said;
    }

    private PyDict content() {
        Map<String, PickleValue> content = new LinkedHashMap<>();
        if (optimizer.filter(OptimizerSettings::distributed).isPresent()) {
            content.put("distrib_optim_sharding_type", PyText.of("fully_reshardable"));
            content.put("distrib_optim_fully_reshardable_mem_efficient", new PyBool(false));
        }
        content.put("singleton_local_shards", new PyBool(false));
        content.put("chained_optim_avoid_prefix", new PyBool(true));
        return PyDict.of(content);
    }

    /// Of one optimizer, or by number of that of the dense parameters and that of the experts.
    private PickleValue settings(OptimizerSettings of) {
        if (!grid.expertOptimizer()) {
            return one(of, false);
        }
        return PyDict.of(
                List.of(
                        new PyDict.Entry(PyInt.of(0), one(of, false)),
                        new PyDict.Entry(PyInt.of(1), one(of, true))));
    }

    private PyDict one(OptimizerSettings of, boolean experts) {
        List<PyDict> groups =
                of.everywhere(request.parameters(), grid, experts).stream()
                        .map(of::settings)
                        .toList();
        if (groups.stream().anyMatch(g -> !g.has("step"))) {
            throw new RefusedException(
                    MegatronDistFormat.NAME,
                    "an optimizer that counts steps for each parameter",
                    "`step` in its groups, as Megatron-LM's own has it",
                    "--to megatron keeps what there is");
        }
        PyDict inner = PyDict.of(Map.of("param_groups", PyList.of(groups)));
        if (!of.distributed() && !of.masters()) {
            return inner;
        }
        PyDict outer = PyDict.of(Map.of("optimizer", inner));
        for (PyDict.Entry more : of.outer().entries()) {
            outer = outer.with(more.key(), more.value());
        }
        return of.distributed()
                ? outer.with("param_state_sharding_type", PyText.of("fully_reshardable"))
                : outer;
    }

    private void generators(List<Item> items, List<String> losses, List<String> notes) {
        RandomStates random =
                RandomStates.of(request.options().getOrDefault(MegatronDistFormat.RNG, "keep"));
        for (int pp = 0; pp < grid.pp(); pp++) {
            for (int tp = 0; tp < grid.tp(); tp++) {
                SourceModel.Rank donor =
                        random == RandomStates.SPREAD ? source.first() : source.donor(tp, pp, 0);
                Optional<PickleValue> state = random.of(source, donor, grid);
                if (state.isPresent()) {
                    items.add(
                            new Item(
                                    String.format(
                                            Locale.ROOT,
                                            "%s/shard_%d.%d_%d.%d",
                                            RNG,
                                            pp,
                                            tp,
                                            grid.pp(),
                                            grid.tp()),
                                    pp * grid.stage() + tp,
                                    state.get(),
                                    donor.file().storages()));
                }
            }
        }
        random.tell(source, grid, notes, losses);
        boolean apart =
                source.ranks().stream().anyMatch(r -> r.ep() > 0 && r.root().find(RNG).isPresent());
        if (apart && random == RandomStates.KEEP) {
            losses.add(
                    "states of random generators of expert ranks past the first: the form has one"
                            + " for each stage and tensor-parallel rank");
        }
    }

    /// States of layers that are no parameters; of the head's layer none is saved. A state that no
    /// job of Megatron-LM wrote has none: nothing, for each of its linear layers.
    private void layers(List<Item> items) {
        boolean local = source.arguments().local();
        Map<String, ModelTemplate.Value> values = new LinkedHashMap<>();
        template.values().forEach(values::put);
        if (foreign) {
            Set<String> modules = new LinkedHashSet<>();
            for (String name : model.facts().keySet()) {
                boolean linear =
                        Names.layer(name).isPresent()
                                && name.contains(".linear_")
                                && name.endsWith(".weight");
                if (linear) {
                    modules.add(name.substring(0, name.length() - ".weight".length()) + STATE);
                }
            }
            modules.forEach(
                    m ->
                            values.put(
                                    m,
                                    new ModelTemplate.Value(PyNone.NONE, source.first().file())));
        }
        long layers = model.layersOfChunks().stream().mapToLong(Integer::longValue).sum();
        long experts =
                values.keySet().stream()
                        .flatMap(n -> Names.expert(n).stream())
                        .mapToLong(e -> e + 1)
                        .max()
                        .orElse(0);
        values.forEach(
                (name, value) -> {
                    if (!name.endsWith(STATE) || name.equals(HEAD_STATE)) {
                        return;
                    }
                    if (Names.layer(name).isEmpty()) {
                        items.add(
                                new Item(
                                        name + "/shard_0_1",
                                        0,
                                        value.value(),
                                        value.file().storages()));
                        return;
                    }
                    Member member = StackedKey.member(name, local);
                    long[] of =
                            member.at().length > 1
                                    ? new long[] {layers, experts}
                                    : new long[] {layers};
                    items.add(
                            new Item(
                                    "%s/shard_%s_%s"
                                            .formatted(
                                                    member.key().key(),
                                                    dotted(member.at()),
                                                    dotted(of)),
                                    stage(member.at()[0]) * grid.stage(),
                                    value.value(),
                                    value.file().storages()));
                });
        together(items, layers);
    }

    /// Of experts in one matrix, that each has nothing, as if it had a layer.
    private void together(List<Item> items, long layers) {
        for (ParameterFacts facts : model.facts().values()) {
            if (!GroupedExperts.is(facts.name())) {
                continue;
            }
            Member member = StackedKey.member(facts.name(), false);
            String key = member.key().key();
            String module = key.substring(0, key.length() - ".weight".length());
            long layer = member.at()[0];
            long experts = facts.shape().dim(0);
            for (long e = 0; e < experts; e++) {
                items.add(
                        new Item(
                                "%s%s/shard_%d.%d_%d.%d"
                                        .formatted(module, STATE, layer, e, layers, experts),
                                stage(layer) * grid.stage(),
                                PyNone.NONE,
                                Map.of()));
            }
        }
    }

    private int stage(long layer) {
        long before = 0;
        List<Integer> chunks = model.layersOfChunks();
        for (int c = 0; c < chunks.size(); c++) {
            before += chunks.get(c);
            if (layer < before) {
                return c % grid.pp();
            }
        }
        return grid.pp() - 1;
    }

    private static String dotted(long[] numbers) {
        return LongStream.of(numbers).mapToObj(Long::toString).collect(Collectors.joining("."));
    }

    /// The objects that a job of the same ranks left, of which the legacy form has none.
    ///
    /// @return what belongs to them in the common state
    private Map<String, PickleValue> others(List<Item> items, List<String> notes) {
        Map<String, PickleValue> common = new LinkedHashMap<>();
        Grid before = source.grid();
        boolean same =
                before.tp() == grid.tp()
                        && before.pp() == grid.pp()
                        && before.dp() == grid.dp()
                        && before.cp() == grid.cp();
        boolean left = false;
        for (CarriedFile file : request.carried()) {
            if (!file.role().equals(Roles.OBJECTS)) {
                continue;
            }
            Optional<PyDict> root = file.root().flatMap(PickleValue::asDict);
            for (PyDict.Entry entry : root.map(PyDict::entries).orElse(List.of())) {
                String key = entry.key().asText().orElse("");
                if (key.equals(DistFiles.COMMON_KEY)) {
                    entry.value()
                            .find(RERUN)
                            .filter(_ -> same)
                            .ifPresent(state -> common.put(RERUN, state));
                } else if (same) {
                    items.add(new Item(key, 0, entry.value(), file.storages()));
                } else {
                    left = true;
                }
            }
        }
        if (left) {
            notes.add(
                    RERUN
                            + " of each rank is left out: Megatron-LM reads it at the degrees of"
                            + " the job that wrote it alone");
        }
        return common;
    }
}
