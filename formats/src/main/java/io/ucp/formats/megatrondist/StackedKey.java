package io.ucp.formats.megatrondist;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A key of the model: one parameter, or those of all layers (and all experts) stacked along
/// leading dims, and the names that these have in the model of the job.
///
/// A layer's number is left out of a key whose layers are stacked. The norms of a model that is
/// made without Transformer Engine are named by the layers that they are fused into there, so that
/// either model loads the checkpoint.
///
/// Source: Megatron-LM `core/transformer/transformer_block.py` (`sharded_state_dict`),
/// `core/models/gpt/gpt_layer_specs.py` (`sharded_state_dict_keys_map`),
/// `core/transformer/moe/experts.py` (`sharded_state_dict`).
///
/// Where all experts of a layer are one parameter ([GroupedExperts]), its key is that of experts
/// one by one, each expert's matrix the other way round than the parameter has it.
///
/// @param key as `.metadata` has it
/// @param layers whether the first dim counts layers
/// @param experts whether the dim behind it counts experts, each a parameter
/// @param turned whether it is a parameter of all experts, whose matrices are turned
record StackedKey(String key, boolean layers, boolean experts, boolean turned) {
    /// Of a parameter of all experts.
    private static final int EXPERTS_DIMS = 3;

    private static final Pattern LAYERS = Pattern.compile("^((?:.*\\.)?layers\\.)(?!\\d)(.+)$");
    private static final Map<String, String> FUSED =
            Map.of(
                    "input_layernorm.", "self_attention.linear_qkv.layer_norm_",
                    "pre_mlp_layernorm.", "mlp.linear_fc1.layer_norm_");
    private static final String EXPERTS = ".mlp.experts.experts.";
    private static final Pattern WEIGHT =
            Pattern.compile("^(.*\\.mlp\\.experts\\.)experts\\.linear_fc([12])\\.weight$");

    /// @param arguments of the job whose model names the parameters
    static StackedKey of(String key, Arguments arguments) {
        return of(key, GroupedExperts.said(arguments) && WEIGHT.matcher(key).matches());
    }

    private static StackedKey of(String key, boolean turned) {
        boolean layers = LAYERS.matcher(key).matches();
        return new StackedKey(key, layers, !turned && key.contains(EXPERTS), turned);
    }

    /// Leading dims that are no dims of a parameter.
    int lead() {
        return (layers ? 1 : 0) + (experts ? 1 : 0);
    }

    /// Of one parameter.
    ///
    /// @throws IncompleteCheckpointException where it has fewer dims than the stack
    Shape shape(Shape whole) throws IncompleteCheckpointException {
        if (whole.rank() < lead() || (turned && whole.rank() != lead() + EXPERTS_DIMS)) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(key),
                    "shape " + whole,
                    turned
                            ? "a matrix of each expert of each layer"
                            : "a dim for %s in front of a parameter's own"
                                    .formatted(
                                            experts
                                                    ? "the layers and one for the experts"
                                                    : "the layers"),
                    "");
        }
        return Shape.of(own(whole.dims()));
    }

    /// Of the numbers of a stack's dims those of a parameter's own, in its order.
    long[] own(long[] dims) {
        long[] own = Arrays.copyOfRange(dims, lead(), dims.length);
        return turned ? turned(own) : own;
    }

    /// With the last two the other way round.
    static long[] turned(long[] dims) {
        long[] turned = dims.clone();
        turned[dims.length - 1] = dims[dims.length - 2];
        turned[dims.length - 2] = dims[dims.length - 1];
        return turned;
    }

    /// How many parameters a chunk is of, or some number over `most` where they are more.
    long count(Chunk chunk, long most) {
        long count = 1;
        for (int d = 0; d < lead(); d++) {
            long extent = chunk.extent().dim(d);
            if (extent == 0) {
                return 0;
            }
            count = extent > most || count > most ? most + 1 : count * extent;
        }
        return count;
    }

    /// The parameters that a chunk is of, in its order: indices along the leading dims.
    List<long[]> in(Chunk chunk) {
        List<long[]> all = new ArrayList<>();
        long[] start = chunk.offsets();
        long outer = lead() > 0 ? chunk.extent().dim(0) : 1;
        long inner = lead() > 1 ? chunk.extent().dim(1) : 1;
        for (long i = 0; i < outer; i++) {
            for (long j = 0; j < inner; j++) {
                all.add(
                        switch (lead()) {
                            case 0 -> new long[0];
                            case 1 -> new long[] {start[0] + i};
                            default -> new long[] {start[0] + i, start[1] + j};
                        });
            }
        }
        return all;
    }

    /// What a parameter is called in the model.
    ///
    /// @param at its indices along the leading dims
    String name(long[] at, Arguments arguments) {
        String name = key;
        Matcher m = LAYERS.matcher(key);
        if (m.matches()) {
            name = m.group(1) + at[0] + "." + (arguments.local() ? local(m.group(2)) : m.group(2));
        }
        Matcher all = WEIGHT.matcher(name);
        if (turned && all.matches()) {
            return all.group(1) + "weight" + all.group(2);
        }
        if (!experts) {
            return name;
        }
        long expert = at[lead() - 1];
        return arguments.is("moe_grouped_gemm")
                ? name.replace(EXPERTS, ".mlp.experts.") + expert
                : name.replace(EXPERTS, ".mlp.experts.local_experts." + expert + ".");
    }

    /// The part behind the layer's number, as the model without Transformer Engine has it.
    private static String local(String part) {
        for (Map.Entry<String, String> norm : FUSED.entrySet()) {
            if (part.startsWith(norm.getValue())) {
                return norm.getKey() + part.substring(norm.getValue().length());
            }
        }
        return part;
    }

    private static final Pattern NUMBERED =
            Pattern.compile("^((?:.*\\.)?layers\\.)(\\d{1,9})\\.(.+)$");
    private static final Pattern OF_EXPERT =
            Pattern.compile("^(.*\\.mlp\\.experts\\.)local_experts\\.(\\d{1,9})\\.(.+)$");
    private static final Pattern TOGETHER =
            Pattern.compile("^(.*\\.mlp\\.experts\\.)weight([12])$");
    private static final Pattern GROUPED =
            Pattern.compile("^(.*\\.mlp\\.experts\\.)(linear_fc[12]\\.(?:weight|bias))(\\d{1,9})$");

    /// A parameter's place in a stack.
    ///
    /// @param at indices along the leading dims
    record Member(StackedKey key, long[] at) {}

    /// The other way: the key of a parameter. Layers of `decoder` are stacked.
    ///
    /// @param local the model is made without Transformer Engine
    static Member member(String name, boolean local) {
        String key = name;
        List<Long> at = new ArrayList<>();
        Matcher layer = NUMBERED.matcher(name);
        if (layer.matches()) {
            key = layer.group(1) + (local ? fused(layer.group(3)) : layer.group(3));
            at.add(Long.parseLong(layer.group(2)));
        }
        Matcher expert = OF_EXPERT.matcher(key);
        Matcher grouped = GROUPED.matcher(key);
        if (expert.matches()) {
            key = expert.group(1) + "experts." + expert.group(3);
            at.add(Long.parseLong(expert.group(2)));
        } else if (grouped.matches()) {
            key = grouped.group(1) + "experts." + grouped.group(2);
            at.add(Long.parseLong(grouped.group(3)));
        }
        Matcher together = TOGETHER.matcher(key);
        boolean turned = together.matches();
        if (turned) {
            key = "%sexperts.linear_fc%s.weight".formatted(together.group(1), together.group(2));
        }
        return new Member(of(key, turned), at.stream().mapToLong(Long::longValue).toArray());
    }

    /// Without Transformer Engine a model has its norms apart; the keys do not tell.
    private static String fused(String part) {
        for (Map.Entry<String, String> norm : FUSED.entrySet()) {
            if (part.startsWith(norm.getKey())) {
                return norm.getValue() + part.substring(norm.getKey().length());
            }
        }
        return part;
    }
}
