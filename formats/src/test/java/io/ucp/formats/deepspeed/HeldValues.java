package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteReader;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashSet;
import java.util.Objects;
import java.util.Set;
import java.util.function.LongToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Checks that an index of a [GeneratedCheckpoint] points at the elements that it names: each is
/// read from where the index says and compared with its own index.
final class HeldValues {
    private static final Pattern EXPERT = Pattern.compile("(.*experts\\.)(\\d+)(\\..*)");

    private final GeneratedCheckpoint checkpoint;
    private final Set<String> seen = new LinkedHashSet<>();

    private HeldValues(GeneratedCheckpoint checkpoint) {
        this.checkpoint = checkpoint;
    }

    /// @return `name/state` of everything that was found and compared
    static Set<String> check(GeneratedCheckpoint checkpoint, CheckpointIndex index)
            throws IOException {
        HeldValues values = new HeldValues(checkpoint);
        for (HeldTensor tensor : index.tensors()) {
            values.tensor(tensor);
        }
        for (FlatGroup group : index.flatGroups()) {
            values.group(group);
        }
        return values.seen;
    }

    private GeneratedParameter parameter(String name) {
        Matcher expert = EXPERT.matcher(name);
        String generic = expert.matches() ? expert.group(1) + "{e}" + expert.group(3) : name;
        return checkpoint.parameters.stream()
                .filter(p -> p.name().equals(name) || p.name().equals(generic))
                .findFirst()
                .orElseThrow(() -> new AssertionError("unknown parameter " + name));
    }

    private void tensor(HeldTensor held) throws IOException {
        GeneratedParameter p = parameter(held.name());
        int tp = held.at().on("tp");
        assertThat(held.shape()).as(held.name()).isEqualTo(local(p));
        long first = held.from() + (p.isFused() ? held.at().on("ep") * local(p).count() : 0);
        String name =
                held.at().indices().containsKey("ep")
                        ? globalName(held.name(), p, held.at().on("ep"))
                        : held.name();
        compare(
                name + "/" + held.state() + " at " + held.at(),
                held.tensor(),
                0,
                held.tensor().shape().count(),
                i ->
                        checkpoint.value(
                                name, held.state(), p.globalIndex(first + i, tp, checkpoint.tp)));
        seen.add(name + "/" + held.state());
    }

    private Shape local(GeneratedParameter p) {
        return p.isFused()
                ? p.shape().with(0, p.experts() / checkpoint.ep)
                : p.local(checkpoint.tp);
    }

    private void group(FlatGroup group) throws IOException {
        long start = 0;
        for (FlatGroup.Member member : group.members()) {
            GeneratedParameter p = parameter(member.name());
            assertThat(member.shape()).as(member.name()).isEqualTo(local(p));
            for (int part = 0; part < group.parts().size(); part++) {
                for (String state : group.parts().get(part).states().keySet()) {
                    member(group, member, p, part, state, start);
                }
            }
            long count = member.shape().count();
            start += group.each() ? Math.ceilDiv(count, group.parts().size()) : count;
        }
    }

    /// @param start where the member begins: in the group, or (`each`) in every part
    private void member(
            FlatGroup group,
            FlatGroup.Member member,
            GeneratedParameter p,
            int part,
            String state,
            long start)
            throws IOException {
        FlatGroup.Part held = group.parts().get(part);
        long count = member.shape().count();
        long size = Math.ceilDiv(count, group.parts().size());
        long from = group.each() ? part * size : Math.max(0, part * held.partExtent() - start);
        long to =
                group.each()
                        ? Math.min(count, from + size)
                        : Math.min(count, (part + 1) * held.partExtent() - start);
        long at = group.each() ? start : start + from - part * held.partExtent();
        String global = globalName(member.name(), p, group.at().on("ep"));
        long first = from + (p.isFused() ? group.at().on("ep") * count : 0);
        if (from < to) {
            TensorEntry tensor = Objects.requireNonNull(held.states().get(state));
            compare(
                    global + "/" + state + " at " + held.at(),
                    tensor,
                    at,
                    to - from,
                    i ->
                            checkpoint.value(
                                    global,
                                    state,
                                    p.globalIndex(first + i, group.at().on("tp"), checkpoint.tp)));
        }
        seen.add(global + "/" + state);
    }

    private String globalName(String name, GeneratedParameter p, int ep) {
        Matcher expert = EXPERT.matcher(name);
        if (p.experts() == 0 || !expert.matches()) {
            return name;
        }
        int local = p.experts() / checkpoint.ep;
        return expert.group(1) + (ep * local + Integer.parseInt(expert.group(2))) + expert.group(3);
    }

    private static void compare(
            String what, TensorEntry tensor, long at, long count, LongToDoubleFunction expected)
            throws IOException {
        int width = tensor.dtype().width();
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(count * width)).order(ByteOrder.LITTLE_ENDIAN);
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset() + at * width, bytes);
        }
        bytes.flip();
        for (int i = 0; i < count; i++) {
            float value =
                    width == 4 ? bytes.getFloat() : Float.intBitsToFloat(bytes.getShort() << 16);
            assertThat((double) value)
                    .as("%s, element %d", what, i)
                    .isEqualTo(expected.applyAsDouble(i));
        }
    }
}
