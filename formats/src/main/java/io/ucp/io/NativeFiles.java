package io.ucp.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.Optional;

/// What Linux can do with files and Java cannot. Elsewhere, and on file systems that lack it, each
/// call says that it did nothing.
public final class NativeFiles {
    private static final int HERE = -100; // AT_FDCWD
    private static final int EXCHANGE = 2; // RENAME_EXCHANGE

    private static final int ENOSYS = 38;
    private static final int EINVAL = 22;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final StructLayout STATE = Linker.Option.captureStateLayout();

    private NativeFiles() {}

    /// Gives each of two names what the other had, at once (`renameat2`, `RENAME_EXCHANGE`).
    ///
    /// @return false where this is not possible here; nothing has changed then
    @SuppressWarnings("restricted")
    public static boolean exchange(Path a, Path b) throws IOException {
        Optional<MemorySegment> symbol = symbol("renameat2");
        if (symbol.isEmpty()) {
            return false;
        }
        try (Arena arena = Arena.ofConfined()) {
            MethodHandle rename =
                    LINKER.downcallHandle(
                            symbol.get(),
                            FunctionDescriptor.of(
                                    ValueLayout.JAVA_INT,
                                    ValueLayout.JAVA_INT,
                                    ValueLayout.ADDRESS,
                                    ValueLayout.JAVA_INT,
                                    ValueLayout.ADDRESS,
                                    ValueLayout.JAVA_INT),
                            ERRNO);
            MemorySegment state = arena.allocate(STATE);
            int failed =
                    (int)
                            rename.invokeExact(
                                    state, HERE, name(arena, a), HERE, name(arena, b), EXCHANGE);
            if (failed == 0) {
                return true;
            }
            int errno = errno(state);
            if (errno == ENOSYS || errno == EINVAL) {
                return false;
            }
            throw new FileSystemException(
                    a.toString(), b.toString(), "renameat2 failed with errno " + errno);
        } catch (IOException | RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static Optional<MemorySegment> symbol(String name) {
        return System.getProperty("os.name", "").equals("Linux")
                ? LINKER.defaultLookup().find(name)
                : Optional.empty();
    }

    private static MemorySegment name(Arena arena, Path path) {
        return arena.allocateFrom(path.toAbsolutePath().toString());
    }

    private static int errno(MemorySegment state) {
        return state.get(
                ValueLayout.JAVA_INT,
                STATE.byteOffset(StructLayout.PathElement.groupElement("errno")));
    }
}
