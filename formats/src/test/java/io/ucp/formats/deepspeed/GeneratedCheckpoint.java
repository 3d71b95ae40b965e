package io.ucp.formats.deepspeed;

import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/// A DeepSpeed checkpoint made here, of any degrees and ZeRO stage, whose values are their own
/// indices: element `i` of a parameter that begins at element `b` of the model is `b + i` in
/// `fp32`, a quarter more in the optimizer's first state, a half more in its second, and `fp32`
/// rounded to bfloat16 in the model's own copy. (Past 2^20 elements the values begin again at 0: a
/// quarter must stay exact in a float.)
///
/// ```
/// GeneratedCheckpoint checkpoint = GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 4, 1))
///         .degrees(1, 2, 3).stage(2).writeTo(root);
/// checkpoint.value("embed.weight", "exp_avg", 7);
/// ```
///
/// It follows the rules of DeepSpeed's optimizers as they write, not as we read: `param_shapes` in
/// flat order, padding where they pad (garbage where they leave garbage), frozen parameters where
/// they list them.
public final class GeneratedCheckpoint {
    /// Which of DeepSpeed's optimizers wraps the training script's.
    public enum Wrapper {
        /// ZeRO-1 and 2: the fp32 tensor without padding, the states with it.
        ZERO,
        /// BF16_Optimizer: all with padding, no `zero_stage`.
        BF16,
        /// ZeRO-1 and 2 with `elastic_checkpoint`: all without padding, the states in a list.
        ELASTIC,
        /// No ZeRO, 16-bit weights: an fp32 master a group, without padding.
        FUSED,
        /// No ZeRO, 16-bit weights: an fp32 master a parameter.
        UNFUSED
    }

    /// Where the step is kept.
    public enum Step {
        TENSOR,
        NUMBER,
        GROUP,
        NONE
    }

    final List<GeneratedParameter> parameters;
    final Map<String, Long> bases = new LinkedHashMap<>();
    int pp = 1;
    int tp = 1;
    int dp = 1;
    int ep = 1;
    int stage = 1;
    Wrapper wrapper = Wrapper.ZERO;
    Step step = Step.TENSOR;
    List<String> states = List.of("exp_avg", "exp_avg_sq");
    boolean expertsAcrossTensor;
    boolean expertsInBlocks;
    boolean reversed;
    boolean roundRobin;
    boolean slices = true;
    boolean nested;
    boolean patterns;
    boolean dimensions = true;
    long subGroupSize = Long.MAX_VALUE;
    long persistent;
    long iteration = 3;
    DType weights = WEIGHTS;
    boolean configured;
    boolean fusedAdam;
    Map<String, String> aliases = Map.of();
    BiFunction<String, PyDict, PyDict> edit = (_, root) -> root;

    private GeneratedCheckpoint(List<GeneratedParameter> parameters) {
        this.parameters = List.copyOf(parameters);
        long base = 0;
        for (GeneratedParameter p : parameters) {
            for (int e = 0; e < p.count(); e++) {
                bases.put(p.name(e), base);
                base += p.shape().count();
            }
        }
    }

    public static GeneratedCheckpoint of(List<GeneratedParameter> parameters) {
        return new GeneratedCheckpoint(parameters);
    }

    /// A model with odd sizes that every tensor-parallel degree up to `most` divides; biases and
    /// norms are optimizer group 1.
    public static List<GeneratedParameter> transformer(int layers, int most) {
        long h = 6L * most;
        List<GeneratedParameter> all = new ArrayList<>();
        all.add(GeneratedParameter.of("embed.weight", 5L * most, h).cut(Cut.ROWS));
        for (int l = 0; l < layers; l++) {
            String at = "layers.%d.".formatted(l);
            all.add(GeneratedParameter.of(at + "norm.weight", h).group(1));
            all.add(GeneratedParameter.of(at + "up.weight", 14L * most, h).cut(Cut.HALVES));
            all.add(GeneratedParameter.of(at + "up.bias", 14L * most).cut(Cut.HALVES).group(1));
            all.add(GeneratedParameter.of(at + "down.weight", h, 7L * most).cut(Cut.COLUMNS));
        }
        all.add(GeneratedParameter.of("norm.weight", h).group(1));
        return all;
    }

    /// A small [#transformer] with twelve experts in each of two layers: their matrices are
    /// optimizer group 2, their biases group 3.
    public static List<GeneratedParameter> mixture(Cut cut) {
        List<GeneratedParameter> all = new ArrayList<>(transformer(1, 4));
        for (int layer = 0; layer < 2; layer++) {
            String moe = "layers.%d.mlp.deepspeed_moe.".formatted(layer);
            String expert = moe + "experts.deepspeed_experts.{e}.";
            all.add(GeneratedParameter.of(moe + "gate.wg.weight", 12, 5));
            all.add(GeneratedParameter.of(expert + "up", 8, 5).cut(cut).group(2).experts(12));
            all.add(GeneratedParameter.of(expert + "bias", 7).group(3).experts(12));
            all.add(GeneratedParameter.of(expert + "down", 4, 5).cut(cut).group(2).experts(12));
        }
        return all;
    }

    /// A small [#transformer] with twelve experts, fused as AutoEP does, in each of two layers.
    public static List<GeneratedParameter> fusedMixture() {
        List<GeneratedParameter> all = new ArrayList<>(transformer(1, 4));
        for (int layer = 0; layer < 2; layer++) {
            String mlp = "layers.%d.mlp.".formatted(layer);
            all.add(GeneratedParameter.of(mlp + "router.gate.weight", 12, 5));
            all.add(GeneratedParameter.of(mlp + "experts.w1", 12, 8, 5).group(2).experts(12));
            all.add(GeneratedParameter.of(mlp + "experts.w2", 12, 5, 8).group(2).experts(12));
            all.add(GeneratedParameter.of(mlp + "experts.w3", 12, 8, 5).group(2).experts(12));
        }
        return all;
    }

    /// The same as a pipeline over `pp` stages: layers numbered over all stages, the embedding tied
    /// to the head on the last stage. `pp` divides `layers`.
    public static List<GeneratedParameter> pipeline(int layers, int most, int pp) {
        List<GeneratedParameter> all = new ArrayList<>();
        for (GeneratedParameter p : transformer(layers, most)) {
            String[] parts = p.name().split("\\.", 3);
            if (parts[0].equals("layers")) {
                int layer = Integer.parseInt(parts[1]);
                all.add(named(p, (layer + 2) + "." + parts[2]).stages(layer / (layers / pp)));
            } else if (parts[0].equals("embed")) {
                Integer[] ends = pp == 1 ? new Integer[] {0} : new Integer[] {0, pp - 1};
                all.add(
                        named(p, "tied_modules.embed.word_embeddings.weight")
                                .stages(ends)
                                .layer(1));
            } else {
                all.add(named(p, (layers + 2) + ".weight").stages(pp - 1));
            }
        }
        return all;
    }

    private static GeneratedParameter named(GeneratedParameter p, String name) {
        return new GeneratedParameter(
                name, p.shape(), p.cut(), p.stages(), p.group(), p.role(), p.layer(), p.experts());
    }

    public GeneratedCheckpoint degrees(int pipeline, int tensor, int data) {
        pp = pipeline;
        tp = tensor;
        dp = data;
        return this;
    }

    /// 0 (no ZeRO) to 3.
    public GeneratedCheckpoint stage(int zero) {
        stage = zero;
        return this;
    }

    /// The model was trained in fp32: its weights are the master.
    public GeneratedCheckpoint inFp32() {
        weights = DType.FLOAT32;
        return this;
    }

    /// The training script's optimizer is FusedAdam.
    public GeneratedCheckpoint fusedAdam() {
        fusedAdam = true;
        return this;
    }

    /// `ds_config` says the stage and the dtype of the weights.
    public GeneratedCheckpoint configured() {
        configured = true;
        return this;
    }

    /// Stage 0, by a wrapper that DeepSpeed takes there: none (`ZERO`) trains in fp32.
    public GeneratedCheckpoint withoutZero(Wrapper by) {
        stage(0).wrapper(by);
        return by == Wrapper.ZERO ? inFp32() : by == Wrapper.FUSED ? fusedAdam() : this;
    }

    public GeneratedCheckpoint wrapper(Wrapper by) {
        wrapper = by;
        return this;
    }

    /// The degree over which parameters with experts are divided; it divides `dp` and their number.
    public GeneratedCheckpoint expertRanks(int ranks) {
        ep = ranks;
        return this;
    }

    /// Experts divide all ranks of a stage, tensor-parallel ones too: they must not be cut.
    public GeneratedCheckpoint expertsAcrossTensorRanks() {
        expertsAcrossTensor = true;
        return this;
    }

    /// The optimizer was given each group's parameters in the reverse of the model's order.
    public GeneratedCheckpoint reversedGroups() {
        reversed = true;
        return this;
    }

    /// `use_data_before_expert_parallelism`: an expert-parallel rank is a block of ranks.
    public GeneratedCheckpoint expertsInBlocks() {
        expertsInBlocks = true;
        return this;
    }

    public GeneratedCheckpoint states(String... names) {
        states = List.of(names);
        return this;
    }

    public GeneratedCheckpoint step(Step where) {
        step = where;
        return this;
    }

    public GeneratedCheckpoint iteration(long number) {
        iteration = number;
        return this;
    }

    /// Parameter `i` goes to bucket `i mod dp`. `param_shapes` follows that flat order and
    /// `param_slice_mappings` the model's, as DeepSpeed writes them.
    public GeneratedCheckpoint roundRobin() {
        roundRobin = true;
        return this;
    }

    /// As DeepSpeed wrote before it knew `param_slice_mappings`.
    public GeneratedCheckpoint withoutSlices() {
        slices = false;
        return this;
    }

    /// As DeepSpeed wrote before it knew `checkpoint_parallel_dimensions`.
    public GeneratedCheckpoint withoutDimensions() {
        dimensions = false;
        return this;
    }

    /// `module` as a dict of dicts.
    public GeneratedCheckpoint nested() {
        nested = true;
        return this;
    }

    /// `universal_checkpoint_info` with the patterns that the cuts need.
    public GeneratedCheckpoint patterns() {
        patterns = true;
        return this;
    }

    /// ZeRO-3 only: elements of a rank's part at which a sub-group is full.
    public GeneratedCheckpoint subGroupSize(long elements) {
        subGroupSize = elements;
        return this;
    }

    /// ZeRO-3 only: parameters with fewer elements stay whole in the model states.
    public GeneratedCheckpoint persistentBelow(long elements) {
        persistent = elements;
        return this;
    }

    /// Other names of parameters: alias -> canonical.
    public GeneratedCheckpoint aliases(Map<String, String> names) {
        aliases = Map.copyOf(names);
        return this;
    }

    /// Changes a file's root before it is written, by the file's name.
    public GeneratedCheckpoint editing(BiFunction<String, PyDict, PyDict> change) {
        edit = change;
        return this;
    }

    /// Writes `root/latest` and `root/global_step<iteration>/..`.
    public GeneratedCheckpoint writeTo(Path root) throws IOException {
        String tag = "global_step" + iteration;
        Files.createDirectories(root.resolve(tag));
        new GeneratedFiles(this, root.resolve(tag)).write();
        Files.writeString(root.resolve("latest"), tag);
        return this;
    }

    /// Element `index` (row-major, in the whole parameter) of a state; `weight` is the model's
    /// copy.
    public float value(String name, String state, long index) {
        Long base = bases.get(name);
        if (base == null) {
            throw new IllegalArgumentException("no parameter " + name);
        }
        float fp32 = (base + index) % (1 << 20);
        if (state.equals("weight") && weights == WEIGHTS) {
            return Float.intBitsToFloat(bfloat16(fp32) << 16);
        }
        return state.equals("fp32") || state.equals("weight")
                ? fp32
                : fp32 + 0.25f * (1 + states.indexOf(state));
    }

    /// The bits of a weight.
    int weightBits(float fp32) {
        return weights == WEIGHTS ? bfloat16(fp32) : Float.floatToRawIntBits(fp32);
    }

    /// To the nearest, ties to even.
    static int bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
    }

    static final DType WEIGHTS = DType.BFLOAT16;

    boolean isPipeline() {
        return parameters.stream()
                .anyMatch(
                        p -> p.name().matches("\\d+\\..*") || p.name().startsWith("tied_modules."));
    }

    List<GeneratedParameter> of(Role role, int onStage) {
        return parameters.stream()
                .filter(p -> p.role() == role && p.stages().contains(onStage))
                .toList();
    }
}
