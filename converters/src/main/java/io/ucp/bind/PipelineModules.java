package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The modules of a DeepSpeed pipeline as the names of its parameters show them: `5.mlp.weight` is
/// of module 5, `tied_modules.embed.weight` of one that the first and the last stage hold. Modules
/// without parameters have no names: those that Megatron-DeepSpeed puts last (the tied head, the
/// cast to fp32) are counted as it does. Source: DeepSpeed `runtime/pipe/module.py`;
/// Megatron-DeepSpeed `model/gpt_model.py`.
public final class PipelineModules {
    private static final Pattern NUMBERED = Pattern.compile("(\\d{1,6})\\.(.+)");
    private static final String TIED = "tied_modules.";

    /// What Megatron-DeepSpeed calls a transformer layer.
    private static final String LAYER_CLASS = "ParallelTransformerLayerPipe";

    private final NavigableMap<Integer, List<ParameterFacts>> modules;
    private final List<ParameterFacts> tied;
    private final NavigableSet<Integer> layers;

    private PipelineModules(
            NavigableMap<Integer, List<ParameterFacts>> modules, List<ParameterFacts> tied) {
        this.modules = modules;
        this.tied = tied;
        this.layers = layers(modules);
    }

    /// Whether every parameter is named as one of a pipeline.
    public static boolean areNamed(List<ParameterFacts> parameters) {
        return parameters.stream().anyMatch(p -> NUMBERED.matcher(p.name()).matches())
                && parameters.stream()
                        .allMatch(
                                p ->
                                        p.name().startsWith(TIED)
                                                || NUMBERED.matcher(p.name()).matches());
    }

    static PipelineModules of(List<ParameterFacts> parameters) {
        TreeMap<Integer, List<ParameterFacts>> modules = new TreeMap<>();
        List<ParameterFacts> tied = new ArrayList<>();
        for (ParameterFacts p : parameters) {
            Matcher m = NUMBERED.matcher(p.name());
            if (m.matches()) {
                modules.computeIfAbsent(Integer.parseInt(m.group(1)), _ -> new ArrayList<>())
                        .add(p);
            } else {
                tied.add(p);
            }
        }
        return new PipelineModules(modules, tied);
    }

    /// The modules that hold attention; where none does, those whose names others have too.
    private static NavigableSet<Integer> layers(Map<Integer, List<ParameterFacts>> modules) {
        TreeSet<Integer> attending = new TreeSet<>();
        TreeSet<Integer> alike = new TreeSet<>();
        Map<Set<String>, List<Integer>> bySuffixes = new HashMap<>();
        modules.forEach(
                (number, parameters) -> {
                    Set<String> suffixes = new TreeSet<>();
                    for (ParameterFacts p : parameters) {
                        suffixes.add(p.name().substring(p.name().indexOf('.')));
                    }
                    if (suffixes.stream().anyMatch(s -> s.contains("attention."))) {
                        attending.add(number);
                    }
                    bySuffixes.computeIfAbsent(suffixes, _ -> new ArrayList<>()).add(number);
                });
        bySuffixes.values().stream().filter(n -> n.size() > 1).forEach(alike::addAll);
        return attending.isEmpty() ? alike : attending;
    }

    /// Transformer layers.
    int layers() {
        return layers.size();
    }

    /// All modules, those without parameters included.
    private int count() {
        List<ParameterFacts> all = new ArrayList<>(tied);
        modules.values().forEach(all::addAll);
        boolean single =
                all.stream().map(p -> p.states().get("weight")).anyMatch(DType.FLOAT32::equals);
        return modules.lastKey() + 1 + (tied.isEmpty() ? 0 : 1) + (single ? 0 : 1);
    }

    /// The first module of each stage, and the number of modules.
    ///
    /// @throws ImpossibleLayoutException where there are not so many stages
    List<Integer> parts(int stages, TargetRequest request) {
        if (request.stages().isPresent()) {
            return listed(request.stages().get(), stages);
        }
        if (layers.size() < stages) {
            throw new ImpossibleLayoutException(
                    "pp %d over %d layers".formatted(stages, layers.size()),
                    "a layer or more for every stage: pp 1 to %d".formatted(layers.size()));
        }
        String method =
                request.partition().orElse("type:transformer").toLowerCase(java.util.Locale.ROOT);
        if (method.equals("uniform")) {
            return StageCut.uniform(count(), stages);
        }
        if (method.equals("parameters")) {
            return StageCut.balanced(weights(true), stages);
        }
        if (!method.startsWith("type:")
                || !Pattern.compile(method.substring(5), Pattern.CASE_INSENSITIVE)
                        .matcher(LAYER_CLASS)
                        .find()) {
            throw new ImpossibleLayoutException(
                    "--partition " + request.partition().orElse(""),
                    "uniform, parameters, or a type that %s matches\nhint: give the layers of each stage, --stages N,N,.."
                            .formatted(LAYER_CLASS));
        }
        return StageCut.balanced(weights(false), stages);
    }

    /// @param elements trainable elements of each module, else 1 for a layer and 0 for another
    private List<Long> weights(boolean elements) {
        List<Long> weights = new ArrayList<>(Collections.nCopies(count(), 0L));
        if (!elements) {
            layers.forEach(l -> weights.set(l, 1L));
            return weights;
        }
        modules.forEach((number, held) -> weights.set(number, trainable(held)));
        if (!tied.isEmpty()) {
            weights.set(firstTied(), trainable(tied));
            weights.set(lastTied(), trainable(tied));
        }
        return weights;
    }

    private static long trainable(List<ParameterFacts> parameters) {
        return parameters.stream()
                .filter(ParameterFacts::trainable)
                .mapToLong(p -> p.shape().count())
                .sum();
    }

    private int firstTied() {
        return Math.max(0, modules.firstKey() - 1);
    }

    private int lastTied() {
        return modules.lastKey() + 1;
    }

    private List<Integer> listed(List<Integer> counts, int stages) {
        int sum = counts.stream().mapToInt(Integer::intValue).sum();
        if (counts.size() != stages
                || sum != layers.size()
                || counts.stream().anyMatch(c -> c < 1)) {
            throw new ImpossibleLayoutException(
                    "--stages %s, %d layers on %d stages"
                            .formatted(
                                    String.join(",", counts.stream().map(String::valueOf).toList()),
                                    sum,
                                    counts.size()),
                    "%d stages of a layer or more, %d layers in all"
                            .formatted(stages, layers.size()));
        }
        List<Integer> numbers = new ArrayList<>(layers);
        List<Integer> parts = new ArrayList<>();
        int at = 0;
        for (int count : counts) {
            parts.add(parts.isEmpty() ? 0 : numbers.get(at));
            at += count;
        }
        parts.add(count());
        return parts;
    }

    /// The stages that hold a parameter.
    Set<Integer> stages(String name, List<Integer> parts) {
        Matcher m = NUMBERED.matcher(name);
        Set<Integer> stages = new LinkedHashSet<>();
        if (m.matches()) {
            stages.add(stage(Integer.parseInt(m.group(1)), parts));
        } else {
            stages.add(stage(firstTied(), parts));
            stages.add(stage(lastTied(), parts));
        }
        return stages;
    }

    private static int stage(int module, List<Integer> parts) {
        int stage = 0;
        while (stage < parts.size() - 2 && parts.get(stage + 1) <= module) {
            stage++;
        }
        return stage;
    }
}
