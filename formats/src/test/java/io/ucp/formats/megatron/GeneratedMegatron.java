package io.ucp.formats.megatron;

import io.ucp.formats.deepspeed.GeneratedParameter;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.TorchTree;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.BiFunction;

/// A checkpoint of Megatron-LM in the making: a small gated model, every element a value that says
/// which one it is.
final class GeneratedMegatron {
    enum Kind {
        /// fp32 masters of 16-bit weights.
        PLAIN,
        /// Weights that are fp32 themselves.
        FP32,
        DISTRIBUTED,
        NONE
    }

    private static final List<String> STATES = List.of("exp_avg", "exp_avg_sq");

    int tp = 1;
    int pp = 1;
    int virtual = 1;
    int dp = 1;
    int ep = 1;
    int etp = 1;
    int experts;
    int[] layers = {2, 2};
    Kind kind = Kind.DISTRIBUTED;
    long bucketSize;
    boolean tied;

    /// All experts of a layer are one parameter.
    boolean together;

    /// As releases before 2025 did: the first group is that of a rank's first parameter.
    boolean firstSeen;

    boolean stepInState;
    BiFunction<String, PyDict, PyDict> edit = (name, dict) -> dict;
    final Map<String, Object> more = new LinkedHashMap<>();

    static GeneratedMegatron of(int tp, int pp) {
        GeneratedMegatron m = new GeneratedMegatron();
        m.tp = tp;
        m.etp = tp;
        m.pp = pp;
        m.layers = new int[pp];
        for (int p = 0; p < pp; p++) {
            m.layers[p] = 4 / pp;
        }
        return m;
    }

    GeneratedMegatron kind(Kind k) {
        kind = k;
        return this;
    }

    GeneratedMegatron experts(int count, int over, int inside) {
        experts = count;
        ep = over;
        etp = inside;
        return this;
    }

    GeneratedMegatron together() {
        together = true;
        more.put("moe_grouped_gemm", true);
        more.put("moe_use_legacy_grouped_gemm", true);
        return this;
    }

    /// @param counts layers of each chunk, the first chunk of every stage first
    GeneratedMegatron layers(int chunks, int... counts) {
        virtual = chunks;
        layers = counts;
        return this;
    }

    GeneratedMegatron tied() {
        tied = true;
        return this;
    }

    GeneratedMegatron buckets(long size) {
        bucketSize = size;
        return this;
    }

    GeneratedMegatron editing(BiFunction<String, PyDict, PyDict> change) {
        edit = change;
        return this;
    }

    boolean expertOptimizer() {
        return experts > 0 && (ep > 1 || etp != tp);
    }

    int layerCount() {
        int n = 0;
        for (int l : layers) {
            n += l;
        }
        return n;
    }

    // ---- the model ----

    /// A tensor of a rank.
    ///
    /// @param p whole, or where it is of all experts those of its rank
    /// @param before elements of the experts before them
    record Placed(
            String local, GeneratedParameter p, int rank, int ranks, boolean expert, long before) {
        Shape shape() {
            return GroupedExperts.together(p.name(), p.local(ranks));
        }
    }

    /// Of all experts as many as a rank has.
    GeneratedParameter ofRank(GeneratedParameter p) {
        return GroupedExperts.is(p.name())
                ? GeneratedParameter.of(p.name(), p.shape().with(0, experts / ep).dims())
                        .cut(p.cut())
                : p;
    }

    private static GeneratedParameter at(String name, Cut cut, long... shape) {
        return GeneratedParameter.of(name, shape).cut(cut);
    }

    /// Every parameter by its global name.
    List<GeneratedParameter> parameters() {
        List<GeneratedParameter> all = new ArrayList<>();
        all.add(at(Names.EMBEDDING, Cut.ROWS, 12, 5));
        for (int l = 0; l < layerCount(); l++) {
            all.addAll(layer(l));
        }
        all.add(at("decoder.final_layernorm.weight", Cut.REPLICATED, 5));
        if (!tied) {
            all.add(at(Names.HEAD, Cut.ROWS, 12, 5));
        }
        return all;
    }

    private List<GeneratedParameter> layer(int l) {
        String p = "decoder.layers." + l + ".";
        List<GeneratedParameter> all = new ArrayList<>();
        all.add(at(p + "input_layernorm.weight", Cut.REPLICATED, 5));
        all.add(at(p + "self_attention.linear_proj.weight", Cut.COLUMNS, 5, 4));
        all.add(at(p + "self_attention.linear_qkv.weight", Cut.ROWS, 8, 5));
        if (experts == 0) {
            all.add(at(p + "mlp.linear_fc1.weight", Cut.HALVES, 24, 5));
            all.add(at(p + "mlp.linear_fc2.weight", Cut.COLUMNS, 5, 12));
            return all;
        }
        all.add(at(p + "mlp.router.weight", Cut.REPLICATED, experts, 5));
        if (together) {
            all.add(at(p + "mlp.experts.weight1", Cut.LAST_HALVES, experts, 5, 8));
            all.add(at(p + "mlp.experts.weight2", Cut.COLUMNS, experts, 4, 5));
            return all;
        }
        for (int e = 0; e < experts; e++) {
            String x = p + "mlp.experts.local_experts." + e + ".";
            all.add(at(x + "linear_fc1.weight", Cut.HALVES, 8, 5));
            all.add(at(x + "linear_fc2.weight", Cut.COLUMNS, 5, 4));
        }
        return all;
    }

    /// The chunks of a rank, in the order of the model.
    List<List<Placed>> chunks(int tensor, int stage, int expertRank) {
        List<List<Placed>> chunks = new ArrayList<>();
        for (int c = 0; c < virtual; c++) {
            int first = 0;
            for (int i = 0; i < c * pp + stage; i++) {
                first += layers[i];
            }
            boolean begins = c == 0 && stage == 0;
            boolean ends = c == virtual - 1 && stage == pp - 1;
            List<Placed> held = new ArrayList<>();
            for (GeneratedParameter p : parameters()) {
                long layer = Names.layer(p.name()).orElse(-1L);
                boolean here =
                        layer >= 0
                                ? layer >= first && layer < first + layers[c * pp + stage]
                                : p.name().equals(Names.EMBEDDING) ? begins : ends;
                long expert = Names.expert(p.name()).orElse(-1L);
                int each = experts / ep;
                if (!here || (expert >= 0 && expert / each != expertRank)) {
                    continue;
                }
                String local = Names.moved(p.name(), -first, -(long) each * expertRank);
                GeneratedParameter own = ofRank(p);
                held.add(
                        Names.isExpert(p.name())
                                ? new Placed(
                                        local,
                                        own,
                                        tensor % etp,
                                        etp,
                                        true,
                                        GroupedExperts.is(p.name())
                                                ? own.shape().count() * expertRank
                                                : 0)
                                : new Placed(local, p, tensor, tp, false, 0));
            }
            if (tied && ends && !begins) {
                held.add(new Placed(Names.HEAD, parameters().getFirst(), tensor, tp, false, 0));
            }
            chunks.add(held);
        }
        return chunks;
    }

    // ---- values ----

    /// Of an element by its index in the whole parameter; weights have few enough bits for bf16.
    double value(String name, String state, long index) {
        int salt = Math.floorMod(name.hashCode() * 31 + state.hashCode(), 61);
        return state.equals("weight") || index < 0
                ? (index + salt) % 64 - 20
                : index * 64 + salt + 1;
    }

    private PyObject tensor(TorchTree tree, Placed p, String state, boolean half) {
        return tree.tensor(
                half ? DType.BFLOAT16 : DType.FLOAT32,
                p.shape(),
                i -> {
                    int bits = Float.floatToRawIntBits((float) element(p, state, i));
                    return half ? bits >>> 16 : bits;
                });
    }

    private double element(Placed p, String state, long i) {
        return value(p.p.name(), state, p.before + p.p.globalIndex(i, p.rank, p.ranks));
    }

    // ---- files ----

    Path iteration(Path root) {
        return root.resolve("iter_0000007");
    }

    void writeTo(Path root) throws IOException {
        int world = tp * dp * ep * pp;
        int stageRanks = world / pp;
        for (int stage = 0; stage < pp; stage++) {
            for (int l = 0; l < stageRanks; l++) {
                int expertRank = l / etp % ep;
                boolean writesDense = l / tp == 0;
                boolean writesExperts = expertOptimizer() && l / (etp * ep) == 0;
                if (writesDense || writesExperts) {
                    write(root, l, stage, expertRank, world, writesDense, writesExperts);
                }
            }
        }
        Files.writeString(root.resolve(IterationFolder.TRACKER), "7");
    }

    private void write(
            Path root,
            int inStage,
            int stage,
            int expertRank,
            int world,
            boolean writesDense,
            boolean writesExperts)
            throws IOException {
        int tensor = inStage % tp;
        int rank = stage * (world / pp) + inStage;
        Path folder = iteration(root).resolve(RankFolder.nameOf(tensor, stage, expertRank, pp, ep));
        Files.createDirectories(folder);
        TorchTree tree = new TorchTree();
        List<List<Placed>> chunks = chunks(tensor, stage, expertRank);
        SequencedMap<String, Object> top = new LinkedHashMap<>();
        top.put("args", PyObject.namespace((PyDict) TorchTree.of(args(world, rank))));
        top.put("checkpoint_version", 3.0);
        top.put("iteration", 7);
        for (int c = 0; c < virtual; c++) {
            SequencedMap<String, Object> model = new LinkedHashMap<>();
            for (Placed p : chunks.get(c)) {
                model.put(p.local, tensor(tree, p, "weight", kind != Kind.FP32));
                if (!GroupedExperts.is(p.local)) {
                    model.put(p.local.replaceAll("weight$", "_extra_state"), null);
                }
            }
            if (tied && c == virtual - 1 && stage == pp - 1) {
                model.put("output_layer._extra_state", null);
            }
            top.put(virtual > 1 ? "model" + c : "model", model);
        }
        List<Placed> all = chunks.stream().flatMap(List::stream).toList();
        if (kind != Kind.NONE) {
            List<Object> parts = new ArrayList<>();
            parts.add(optimizer(tree, own(all, false), false));
            if (expertOptimizer()) {
                parts.add(optimizer(tree, own(all, true), true));
            }
            top.put("optimizer", expertOptimizer() ? parts : parts.getFirst());
        }
        save(tree, folder, "model_optim_rng.pt", (PyDict) TorchTree.of(top));
        if (kind == Kind.DISTRIBUTED) {
            TorchTree flat = new TorchTree();
            List<Object> parts = new ArrayList<>();
            parts.add(writesDense ? buffers(flat, chunks, false, stage) : null);
            if (expertOptimizer()) {
                parts.add(writesExperts ? buffers(flat, chunks, true, stage) : null);
            }
            PickleValue tops = TorchTree.of(expertOptimizer() ? parts : parts.getFirst());
            if (tops instanceof PyDict dict) {
                save(flat, folder, "distrib_optim.pt", dict);
            } else {
                flat.write(folder.resolve("distrib_optim.pt"), tops);
            }
        }
    }

    private void save(TorchTree tree, Path folder, String name, PyDict top) throws IOException {
        String label = folder.getFileName() + "/" + name;
        tree.write(folder.resolve(name), edit.apply(label, top));
    }

    private List<Placed> own(List<Placed> all, boolean ofExperts) {
        return all.stream().filter(p -> !expertOptimizer() || p.expert == ofExperts).toList();
    }

    private Map<String, Object> args(int world, int rank) {
        Map<String, Object> args = new LinkedHashMap<>();
        args.put("tensor_model_parallel_size", tp);
        args.put("pipeline_model_parallel_size", pp);
        args.put("virtual_pipeline_model_parallel_size", virtual > 1 ? virtual : null);
        args.put("expert_model_parallel_size", ep);
        args.put("expert_tensor_parallel_size", etp);
        args.put("context_parallel_size", 1);
        args.put("data_parallel_size", world / tp / pp);
        args.put("world_size", world);
        args.put("rank", rank);
        args.put("local_rank", rank);
        args.put("num_layers", layerCount());
        args.put("num_experts", experts > 0 ? experts : null);
        args.put("hidden_size", 5);
        args.put("ffn_hidden_size", 12);
        args.put("moe_ffn_hidden_size", 4);
        args.put("num_attention_heads", 2);
        args.put("group_query_attention", true);
        args.put("num_query_groups", 1);
        args.put("kv_channels", 2);
        args.put("vocab_size", 11);
        args.put("padded_vocab_size", 12);
        args.put("make_vocab_size_divisible_by", 3);
        args.put("swiglu", true);
        args.put("accumulate_allreduce_grads_in_fp32", true);
        args.put("untie_embeddings_and_output_weights", !tied);
        args.put("overlap_grad_reduce", bucketSize > 0);
        args.put("ddp_bucket_size", bucketSize > 0 ? bucketSize : null);
        args.putAll(more);
        return args;
    }

    private static boolean decayed(Placed p) {
        return p.shape().rank() > 1;
    }

    private Object optimizer(TorchTree tree, List<Placed> members, boolean ofExperts) {
        List<List<Placed>> groups = new ArrayList<>();
        boolean first = !firstSeen || decayed(members.getFirst());
        for (boolean decayed : List.of(first, !first)) {
            List<Placed> group = members.stream().filter(p -> decayed(p) == decayed).toList();
            if (!group.isEmpty()) {
                groups.add(group);
            }
        }
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> settings = new ArrayList<>();
        List<Object> masters = new ArrayList<>();
        int number = 0;
        for (List<Placed> group : groups) {
            List<Object> numbers = new ArrayList<>();
            List<Object> own = new ArrayList<>();
            for (Placed p : group) {
                numbers.add(number);
                SequencedMap<String, Object> of = new LinkedHashMap<>();
                if (stepInState) {
                    of.put("step", tree.number(9));
                }
                STATES.forEach(s -> of.put(s, tensor(tree, p, s, false)));
                state.put(number++, of);
                own.add(tensor(tree, p, "fp32", false));
            }
            masters.add(own);
            SequencedMap<String, Object> setting = new LinkedHashMap<>();
            setting.put("is_expert_parallel", ofExperts);
            if (!firstSeen) {
                setting.put("default_config", true);
            }
            setting.put("wd_mult", decayed(group.getFirst()) ? 1.0 : 0.0);
            if (!stepInState) {
                setting.put("step", 9);
            }
            if (kind != Kind.DISTRIBUTED) {
                setting.put("params", numbers);
            }
            settings.add(setting);
        }
        SequencedMap<String, Object> inner = new LinkedHashMap<>();
        if (kind != Kind.DISTRIBUTED) {
            inner.put("state", state);
        }
        inner.put("param_groups", settings);
        if (kind == Kind.FP32) {
            return inner;
        }
        SequencedMap<String, Object> outer = new LinkedHashMap<>();
        outer.put("optimizer", inner);
        if (kind == Kind.PLAIN) {
            outer.put("fp32_from_fp16_params", masters);
        }
        return outer;
    }

    private Map<Object, Object> buffers(
            TorchTree tree, List<List<Placed>> chunks, boolean ofExperts, int stage) {
        Map<Object, Object> all = new LinkedHashMap<>();
        all.put("buckets_coalesced", true);
        for (int c = 0; c < chunks.size(); c++) {
            List<Placed> members = own(chunks.get(c), ofExperts);
            if (members.isEmpty()) {
                continue;
            }
            long bucket = c == 0 && stage == 0 ? bucketSize : 0;
            Map<String, Object> tensors = new LinkedHashMap<>();
            int count = 0;
            for (String state : List.of("fp32", "exp_avg", "exp_avg_sq")) {
                float[] flat = new Buckets(members, bucket).stripped(state);
                tensors.put(state.equals("fp32") ? "param" : state, tree.floats(flat));
                count = flat.length;
            }
            tensors.put("numel_unpadded", count);
            PyTuple dtypes =
                    PyTuple.of(
                            List.of(
                                    new PyGlobal("torch", "bfloat16"),
                                    new PyGlobal("torch", "float32")));
            all.put(c, Map.of(dtypes, tensors));
        }
        return all;
    }

    /// The buffer as it lies in memory, bucket by bucket with its padding, which is then taken out.
    private final class Buckets {
        private final List<Placed> members;
        private final long bucketSize;
        private final List<Float> padded = new ArrayList<>();
        private final List<long[]> kept = new ArrayList<>();

        Buckets(List<Placed> members, long bucketSize) {
            this.members = members;
            this.bucketSize = bucketSize;
        }

        float[] stripped(String state) {
            int start = 0;
            boolean any = false;
            for (Placed p : members.reversed()) {
                pad(64);
                boolean alone =
                        tied
                                && pp > 1
                                && (p.local.equals(Names.EMBEDDING) || p.local.equals(Names.HEAD));
                if (alone && any) {
                    start = close(start);
                }
                for (int i = 0; i < p.shape().count(); i++) {
                    padded.add((float) element(p, state, i));
                }
                any = !alone && (bucketSize == 0 || padded.size() - start < bucketSize);
                if (!any) {
                    start = close(start);
                }
            }
            if (any) {
                close(start);
            }
            List<Float> out = new ArrayList<>();
            kept.forEach(r -> out.addAll(padded.subList((int) r[0], (int) r[1])));
            float[] flat = new float[out.size()];
            for (int i = 0; i < flat.length; i++) {
                flat[i] = out.get(i);
            }
            return flat;
        }

        private int close(int start) {
            kept.add(new long[] {start, padded.size()});
            pad(128);
            return padded.size();
        }

        private void pad(int multiple) {
            while (padded.size() % multiple != 0) {
                padded.add(0f);
            }
        }
    }
}
