package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;

/// The modules of a DeepSpeed pipeline as the names of its parameters show them: `5.mlp.weight` is
/// of module 5, `tied_modules.embed.weight` of one that the first and the last stage hold. Modules
/// without parameters have no names: those that Megatron-DeepSpeed puts last (the tied head, the
/// cast to fp32) are counted as it does. Source: DeepSpeed `runtime/pipe/module.py`;
/// Megatron-DeepSpeed `model/gpt_model.py`.
public final class PipelineModules {
    private static final Pattern NUMBERED = Pattern.compile("(\\d{1,6})\\.(.+)");
    private static final String TIED = "tied_modules.";

    /// Modules as no model has, of which balancing them would not come to an end.
    private static final int MOST_BALANCED = 2_048;

    /// What Megatron-DeepSpeed calls a transformer layer.
    private static final String LAYER_CLASS = "ParallelTransformerLayerPipe";

    /// What it calls the norm behind them, by its settings.
    private static final Set<String> NORM_CLASSES =
            new TreeSet<>(
                    List.of(
                            "FusedRMSNorm",
                            "LayerNorm",
                            "MixedFusedLayerNorm",
                            "MixedFusedRMSNorm",
                            "RMSNorm"));

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
    /// @param method as DeepSpeed's `partition_method`
    /// @throws ImpossibleLayoutException where there are not so many stages, or for a method that
    ///   is none or counts modules whose classes the names do not tell
    List<Integer> parts(int stages, String method) {
        if (layers.size() < stages) {
            throw new ImpossibleLayoutException(
                    "pp %d over %d layers".formatted(stages, layers.size()),
                    "a layer or more for every stage: pp 1 to %d".formatted(layers.size()));
        }
        String lower = method.toLowerCase(Locale.ROOT);
        if (lower.equals("uniform")) {
            return StageCut.uniform(count(), stages);
        }
        if (count() > MOST_BALANCED) {
            throw new ImpossibleLayoutException(
                    "a pipeline of %d modules, as '%s' counts, cut by %s"
                            .formatted(
                                    count(),
                                    modules.lastEntry().getValue().getFirst().name(),
                                    method),
                    "at most %d\nhint: give the layers of each stage, --stages N,N,.."
                            .formatted(MOST_BALANCED));
        }
        return StageCut.balanced(
                lower.equals("parameters") ? elements() : classes(method, lower), stages);
    }

    /// The stages as they were held.
    ///
    /// @param held parameter -> its stages (frozen ones are not among them)
    /// @return nothing where that are no runs of modules
    Optional<List<Integer>> held(Map<String, Set<Integer>> held, int stages) {
        int[] first = new int[stages];
        Arrays.fill(first, -1);
        for (Map.Entry<Integer, List<ParameterFacts>> module : modules.descendingMap().entrySet()) {
            for (ParameterFacts p : module.getValue()) {
                for (int stage : held.getOrDefault(p.name(), Set.of())) {
                    if (stage < stages) {
                        first[stage] = module.getKey();
                    }
                }
            }
        }
        List<Integer> parts = new ArrayList<>(List.of(count()));
        for (int s = stages - 1; s > 0; s--) {
            boolean tiedAlone = first[s] < 0 && s == stages - 1;
            parts.addFirst(tiedAlone ? lastTied() : first[s] < 0 ? parts.getFirst() : first[s]);
        }
        parts.addFirst(0);
        boolean runs =
                all().filter(p -> held.containsKey(p.name()))
                        .allMatch(p -> stages(p.name(), parts).equals(held.get(p.name())));
        boolean known = all().anyMatch(p -> held.containsKey(p.name()));
        return runs && known ? Optional.of(List.copyOf(parts)) : Optional.empty();
    }

    private Stream<ParameterFacts> all() {
        return Stream.concat(tied.stream(), modules.values().stream().flatMap(List::stream));
    }

    /// Whether all parameters have the same stages.
    boolean same(List<Integer> parts, List<Integer> others) {
        return all().allMatch(p -> stages(p.name(), parts).equals(stages(p.name(), others)));
    }

    /// Layers of each stage.
    List<Integer> counts(List<Integer> parts) {
        List<Integer> counts = new ArrayList<>();
        for (int s = 0; s + 1 < parts.size(); s++) {
            int from = parts.get(s);
            int to = parts.get(s + 1);
            counts.add(from < to ? layers.subSet(from, to).size() : 0);
        }
        return counts;
    }

    String described(List<Integer> parts) {
        return "%s layers from modules %s on"
                .formatted(joined(counts(parts)), joined(parts.subList(0, parts.size() - 1)));
    }

    private static String joined(List<Integer> numbers) {
        return String.join(",", numbers.stream().map(String::valueOf).toList());
    }

    /// 1 for each module whose class a `type:REGEX` finds, else 0.
    private List<Long> classes(String method, String lower) {
        Pattern wanted = wanted(method, lower);
        List<Long> weights = zeros();
        for (int module = 0; module < weights.size(); module++) {
            Set<String> classes = classes(module);
            long found = classes.stream().filter(c -> wanted.matcher(c).find()).count();
            if (found > 0 && found < classes.size()) {
                throw new ImpossibleLayoutException(
                        "a pipeline cut by %s, where module %d may be %s"
                                .formatted(method, module, String.join(" or ", classes)),
                        "a type that matches all of these or none\n"
                                + "hint: give the layers of each stage, --stages N,N,..");
            }
            weights.set(module, found > 0 ? 1L : 0L);
        }
        return weights;
    }

    private static Pattern wanted(String method, String lower) {
        if (lower.startsWith("type:")) {
            try {
                Pattern type = Pattern.compile(lower.substring(5), Pattern.CASE_INSENSITIVE);
                if (type.matcher(LAYER_CLASS).find()) {
                    return type;
                }
            } catch (PatternSyntaxException _) {
                // It finds nothing.
            }
        }
        throw new ImpossibleLayoutException(
                "a pipeline cut by " + method,
                "uniform, parameters, or a type that %s matches, as --partition\nhint: give the layers of each stage, --stages N,N,.."
                        .formatted(LAYER_CLASS));
    }

    /// What the class of a module may be called, of Megatron-DeepSpeed's; empty for those that the
    /// names do not tell, which no usual type means.
    private Set<String> classes(int module) {
        if (layers.contains(module)) {
            return Set.of(LAYER_CLASS);
        }
        if (!tied.isEmpty() && (module == firstTied() || module == lastTied())) {
            return Set.of("EmbeddingPipe");
        }
        Set<String> suffixes = new TreeSet<>();
        modules.getOrDefault(module, List.of())
                .forEach(p -> suffixes.add(p.name().substring(p.name().indexOf('.') + 1)));
        if (suffixes.stream().anyMatch(s -> s.startsWith("word_embeddings."))) {
            return Set.of("EmbeddingPipe");
        }
        if (suffixes.stream().anyMatch(s -> s.startsWith("lm_head."))) {
            return Set.of("LMHeadPipe");
        }
        return suffixes.contains("weight") && Set.of("weight", "bias").containsAll(suffixes)
                ? NORM_CLASSES
                : Set.of();
    }

    private List<Long> zeros() {
        return new ArrayList<>(Collections.nCopies(count(), 0L));
    }

    /// Trainable elements of each module.
    private List<Long> elements() {
        List<Long> weights = zeros();
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

    /// The layers of each stage, as they are given.
    ///
    /// @param who gives them
    /// @throws ImpossibleLayoutException where that are no stages of this model
    List<Integer> listed(String who, List<Integer> counts, int stages) {
        long sum = counts.stream().mapToLong(Integer::longValue).sum();
        if (counts.size() != stages
                || sum != layers.size()
                || counts.stream().anyMatch(c -> c < 1)) {
            throw new ImpossibleLayoutException(
                    "%s %s, %d layers on %d stages"
                            .formatted(who, joined(counts), sum, counts.size()),
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
