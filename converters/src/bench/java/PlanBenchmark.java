import io.ucp.bind.Binder;
import io.ucp.bind.Sharding;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.convert.SpecSource;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WriteRequest;
import io.ucp.io.ByteSource;
import io.ucp.io.PlainFile;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.plan.Step;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Planning without data: what Megatron-DeepSpeed LLaMAs of 1/16, 1/4 and 1/1 of 20,000 parameters,
/// 10^12 elements and 4,096 optimizer files (TP8·PP16·DP32, bf16 weights beside the optimizer) say
/// of themselves, from their index to the plan of a conversion. CPU seconds a phase, wall seconds
/// of all, and heap in use with all of it held. Run from the root of the repository, after `mvn
/// package`:
///
/// ```
/// java -Xmx4g -cp 'cli/target/app/lib/*' converters/src/bench/java/PlanBenchmark.java [FORMAT [SHARE..]]
/// ```
public final class PlanBenchmark {
    private static final int TP = 8;
    private static final int DP = 32;
    private static final int LAYERS = 3328;
    private static final int STAGES = 16;
    private static final long HIDDEN = 5120;
    private static final long FFN = 13312;
    private static final long VOCAB = 131072;
    private static final List<String> STATES = List.of("fp32", "exp_avg", "exp_avg_sq");

    private final int stages;
    private final int layers;

    private PlanBenchmark(int share) {
        this.stages = STAGES / share;
        this.layers = LAYERS / share;
    }

    public static void main(String[] args) throws IOException {
        String format = args.length > 0 ? args[0] : "universal";
        List<Integer> shares = new ArrayList<>();
        for (int k = 1; k < args.length; k++) {
            shares.add(Integer.valueOf(args[k]));
        }
        System.out.println(
                "share files parameters elements     boxes   index    bind assemble  layout    plan"
                        + "   wall s   MiB");
        new PlanBenchmark(STAGES).run(format, "warm");
        for (int share : shares.isEmpty() ? List.of(16, 4, 1) : shares) {
            new PlanBenchmark(share).run(format, "1/" + share);
        }
    }

    private void run(String to, String name) throws IOException {
        long began = System.nanoTime();
        double start = now();
        CheckpointIndex index = index();
        double indexed = now();
        SpecSource spec = SpecSource.of(Optional.of("megatron_deepspeed_llama"), index);
        Sharding sharding = Binder.bind(spec.spec(), index, Map.of());
        double bound = now();
        Inventory inventory = Assembler.assemble(index, sharding, "");
        double assembled = now();
        List<TargetFile> files = layout(to, inventory);
        double laid = now();
        CopyPlan plan = Planner.plan(inventory, files);
        double planned = now();
        double wall = (System.nanoTime() - began) / 1e9;
        long elements = 0;
        for (Parameter parameter : inventory.parameters()) {
            elements += parameter.facts().shape().count();
        }
        long boxes = 0;
        for (var target : plan.targets()) {
            for (Step step : target.steps()) {
                if (step instanceof Step.Elements e) {
                    for (Step.Copy copy : e.copies()) {
                        boxes += copy.origins().items().size();
                    }
                }
            }
        }
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        System.out.printf(
                Locale.ROOT,
                "%-5s %5d %10d %8.2g %9d  %6.2f  %6.2f   %6.2f  %6.2f  %6.2f    %6.2f  %5d%n",
                name,
                stages * TP * DP,
                inventory.parameters().size(),
                (double) elements,
                boxes,
                indexed - start,
                bound - indexed,
                assembled - bound,
                laid - assembled,
                planned - laid,
                wall,
                runtime.totalMemory() - runtime.freeMemory() >> 20);
        if (plan.size() + inventory.parameters().size() + sharding.parameters().size() == 0) {
            throw new IllegalStateException("nothing planned");
        }
    }

    /// CPU seconds of this thread: other work on the machine does not count, nor do the compiler
    /// and the collector.
    private static double now() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() / 1e9;
    }

    private static List<TargetFile> layout(String to, Inventory inventory) throws IOException {
        CheckpointFormat format =
                CheckpointFormat.all().stream()
                        .filter(f -> f.name().equals(to))
                        .findFirst()
                        .orElseThrow();
        return format.layout(
                        new WriteRequest(
                                "global_step1",
                                OptionalLong.of(1),
                                inventory.origin(),
                                inventory.parameters().stream().map(Parameter::facts).toList(),
                                inventory.index().hints(),
                                inventory.carried(),
                                Map.of()))
                .files();
    }

    // ---- what the files would say ----

    private CheckpointIndex index() {
        List<FlatGroup> groups = new ArrayList<>();
        List<HeldTensor> held = new ArrayList<>();
        for (int pp = 0; pp < stages; pp++) {
            List<FlatGroup.Member> all = members(pp);
            for (int tp = 0; tp < TP; tp++) {
                Coordinate at = new Coordinate(Map.of("pp", pp, "tp", tp));
                List<ByteSource> files = new ArrayList<>();
                for (int dp = 0; dp < DP; dp++) {
                    String name =
                            "bf16_zero_pp_rank_%d_mp_rank_%02d_optim_states.pt"
                                    .formatted(dp, pp * TP + tp);
                    files.add(new PlainFile(Path.of("bench", name), 1L << 40));
                }
                for (int g = 0; g < 2; g++) {
                    int rank = 2 - g;
                    groups.add(
                            group(
                                    g,
                                    at,
                                    all.stream().filter(m -> m.shape().rank() == rank).toList(),
                                    files));
                }
                long offset = 0;
                String name = "mp_rank_%02d_model_states.pt".formatted(pp * TP + tp);
                ByteSource model = new PlainFile(Path.of("bench", name), 1L << 40);
                for (FlatGroup.Member member : all) {
                    TensorEntry tensor =
                            TensorEntry.dense(model, offset, DType.BFLOAT16, member.shape());
                    held.add(new HeldTensor(member.name(), "weight", at, tensor));
                    offset += tensor.size();
                }
            }
        }
        List<AxisDegree> mesh =
                List.of(
                        new AxisDegree("pp", stages),
                        new AxisDegree("dp", DP),
                        new AxisDegree("tp", TP));
        Map<String, Long> numbers = new HashMap<>();
        numbers.putAll(Map.of("hidden", HIDDEN, "ffn", FFN, "heads", 40L, "kv_heads", 40L));
        numbers.putAll(Map.of("vocab", VOCAB, "padded_vocab", VOCAB, "layers", (long) layers));
        LayoutHints hints =
                new LayoutHints(
                        Optional.of("0.4"),
                        List.of(),
                        OptionalLong.of(VOCAB),
                        Map.of(),
                        Set.of(),
                        Set.of(),
                        numbers);
        return new CheckpointIndex(
                "deepspeed",
                Path.of("bench"),
                "global_step1",
                OptionalLong.of(1),
                1,
                mesh,
                held,
                groups,
                List.of(),
                hints,
                List.of(),
                new Origin("deepspeed", "global_step1", 1, mesh, Optional.empty()),
                List.of());
    }

    private List<FlatGroup.Member> members(int pp) {
        List<FlatGroup.Member> all = new ArrayList<>();
        if (pp == 0) {
            all.add(member("1.word_embeddings.weight", VOCAB / TP, HIDDEN));
        }
        for (int layer = layers / stages * pp; layer < layers / stages * (pp + 1); layer++) {
            String at = layer + 2 + ".";
            all.add(member(at + "input_layernorm.weight", HIDDEN));
            all.add(member(at + "self_attention.query_key_value.weight", 3 * HIDDEN / TP, HIDDEN));
            all.add(member(at + "self_attention.dense.weight", HIDDEN, HIDDEN / TP));
            all.add(member(at + "post_attention_layernorm.weight", HIDDEN));
            all.add(member(at + "mlp.dense_h_to_4h.weight", 2 * FFN / TP, HIDDEN));
            all.add(member(at + "mlp.dense_4h_to_h.weight", HIDDEN, FFN / TP));
        }
        if (pp == stages - 1) {
            all.add(member(layers + 2 + ".weight", HIDDEN));
            all.add(member(layers + 3 + ".lm_head.weight", VOCAB / TP, HIDDEN));
        }
        return all;
    }

    private static FlatGroup.Member member(String name, long... shape) {
        return new FlatGroup.Member(name, Shape.of(shape));
    }

    private static FlatGroup group(
            int number, Coordinate at, List<FlatGroup.Member> members, List<ByteSource> files) {
        long count = members.stream().mapToLong(m -> m.shape().count()).sum();
        long part = Math.ceilDiv(count, 2L * DP) * 2;
        List<FlatGroup.Part> parts = new ArrayList<>();
        for (int dp = 0; dp < DP; dp++) {
            Map<String, TensorEntry> states = new HashMap<>();
            for (int s = 0; s < STATES.size(); s++) {
                long offset = (2L * s + number) << 36;
                states.put(
                        STATES.get(s),
                        TensorEntry.dense(files.get(dp), offset, DType.FLOAT32, Shape.of(part)));
            }
            Scalar step = new Scalar(DType.FLOAT32, new byte[] {0, 0, (byte) 0x80, 0x3f});
            parts.add(new FlatGroup.Part(at.with("dp", dp), part, states, Map.of("step", step)));
        }
        return new FlatGroup(number, number, at, "dp", false, members, parts);
    }
}
