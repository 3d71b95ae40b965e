package io.ucp.formats.deepspeed;

import io.ucp.tensor.Shape;

import java.util.List;

/// A parameter of a [GeneratedCheckpoint]: what it is, how it is cut over tensor-parallel ranks,
/// which stages and which optimizer group it is in.
///
/// @param name as in `param_shapes`; in a pipeline `<layer>.<suffix>` or
///   `tied_modules.<key>.<suffix>`; with `{e}` for the expert's number; of AutoEP, which fuses the
///   experts of a layer along dimension 0, without
/// @param shape whole; of one expert, where they have numbers
/// @param stages the pipeline stages that hold it; a tied one is written by the first
/// @param layer the number of its layer file, -1 for the number that begins its name
/// @param experts how many experts there are of it, 0 where it is no expert
public record GeneratedParameter(
        String name,
        Shape shape,
        Cut cut,
        List<Integer> stages,
        int group,
        Role role,
        int layer,
        int experts) {
    /// How tensor-parallel ranks divide a parameter.
    public enum Cut {
        REPLICATED,
        /// Dimension 0.
        ROWS,
        /// Dimension 1.
        COLUMNS,
        /// Each half of dimension 0 on its own, as SwiGLU's gate and up.
        HALVES,
        /// Each half of the last dimension on its own.
        LAST_HALVES
    }

    public enum Role {
        TRAINABLE,
        FROZEN,
        BUFFER
    }

    public GeneratedParameter {
        stages = List.copyOf(stages);
    }

    /// A trainable, replicated parameter of group 0 and stage 0.
    public static GeneratedParameter of(String name, long... shape) {
        return new GeneratedParameter(
                name, Shape.of(shape), Cut.REPLICATED, List.of(0), 0, Role.TRAINABLE, -1, 0);
    }

    public GeneratedParameter cut(Cut how) {
        return new GeneratedParameter(name, shape, how, stages, group, role, layer, experts);
    }

    public GeneratedParameter stages(Integer... on) {
        return new GeneratedParameter(name, shape, cut, List.of(on), group, role, layer, experts);
    }

    public GeneratedParameter group(int number) {
        return new GeneratedParameter(name, shape, cut, stages, number, role, layer, experts);
    }

    public GeneratedParameter role(Role what) {
        return new GeneratedParameter(name, shape, cut, stages, group, what, layer, experts);
    }

    public GeneratedParameter layer(int number) {
        return new GeneratedParameter(name, shape, cut, stages, group, role, number, experts);
    }

    public GeneratedParameter experts(int count) {
        return new GeneratedParameter(name, shape, cut, stages, group, role, layer, count);
    }

    /// All experts in one tensor.
    boolean isFused() {
        return experts > 0 && !name.contains("{e}");
    }

    /// How many parameters it stands for.
    int count() {
        return isFused() ? 1 : Math.max(1, experts);
    }

    /// The name of an expert, or the name itself.
    public String name(int expert) {
        return name.replace("{e}", Integer.toString(expert));
    }

    /// The shape that one of `tp` ranks holds.
    public Shape local(int tp) {
        return switch (cut) {
            case REPLICATED -> shape;
            case ROWS, HALVES -> shape.with(0, shape.dim(0) / tp);
            case COLUMNS -> shape.with(1, shape.dim(1) / tp);
            case LAST_HALVES -> shape.with(shape.rank() - 1, shape.dim(shape.rank() - 1) / tp);
        };
    }

    /// The row-major index in the whole parameter of element `i` of rank `rank`'s shard.
    public long globalIndex(long i, int rank, int tp) {
        if (cut == Cut.REPLICATED) {
            return i;
        }
        if (cut == Cut.COLUMNS) {
            long width = shape.dim(1) / tp;
            long rest = shape.count() / shape.dim(0) / shape.dim(1);
            long row = i / (width * rest);
            long in = i % (width * rest);
            return row * shape.dim(1) * rest + rank * width * rest + in;
        }
        if (cut == Cut.LAST_HALVES) {
            long last = shape.dim(shape.rank() - 1);
            long half = last / tp / 2;
            long in = i % (2 * half);
            long column = in < half ? rank * half + in : last / 2 + rank * half + in - half;
            return i / (2 * half) * last + column;
        }
        long size = shape.count() / tp;
        if (cut == Cut.ROWS) {
            return rank * size + i;
        }
        long half = size / 2;
        long whole = shape.count() / 2;
        return i < half ? rank * half + i : whole + rank * half + (i - half);
    }
}
