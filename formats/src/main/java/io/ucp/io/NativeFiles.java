package io.ucp.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/// What Linux can do with files and Java cannot. Elsewhere, and on file systems that lack it, each
/// call says that it did nothing.
public final class NativeFiles {
    private static final int HERE = -100; // AT_FDCWD
    private static final int EXCHANGE = 2; // RENAME_EXCHANGE

    private static final int READ_ONLY = 0; // O_RDONLY
    private static final int WRITE_AND_WAIT = 7; // SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER
    private static final int FORGET = 4; // POSIX_FADV_DONTNEED
    private static final int WRITE_ONLY = 1; // O_WRONLY
    private static final long CLONE = 0x40049409L; // FICLONE

    /// Where the system lacks a function.
    private static final MethodHandle NONE = MethodHandles.constant(int.class, -1);

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

    /// Makes `to`, which is there, a second file of the blocks that `from` has, each to be copied
    /// only when it is written to (`ioctl`, `FICLONE`). Not a hard link: neither sees what is
    /// written to the other.
    ///
    /// @return false where this is not possible here; `to` holds what it held then
    public static boolean clone(Path from, Path to) {
        if (!Calls.CLONES || !isSystems(from) || !isSystems(to)) {
            return false;
        }
        try (Arena arena = Arena.ofConfined()) {
            int source = (int) Calls.OPEN.invokeExact(name(arena, from), READ_ONLY);
            int target = (int) Calls.OPEN.invokeExact(name(arena, to), WRITE_ONLY);
            int failed =
                    source < 0 || target < 0
                            ? -1
                            : (int) Calls.CLONE.invokeExact(target, CLONE, source);
            int ignored = source < 0 ? 0 : (int) Calls.CLOSE.invokeExact(source);
            ignored = target < 0 ? 0 : (int) Calls.CLOSE.invokeExact(target);
            return failed == 0;
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static boolean isSystems(Path file) {
        return file.getFileSystem().equals(FileSystems.getDefault());
    }

    /// Has the system write out what of a file is not on the disk yet, and forget what of it is. As
    /// far as that goes: nothing depends on it.
    public static void drop(Path file) {
        if (!Calls.READY || !isSystems(file)) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            int fd = (int) Calls.OPEN.invokeExact(name(arena, file), READ_ONLY);
            if (fd < 0) {
                return;
            }
            int ignored = (int) Calls.SYNC.invokeExact(fd, 0L, 0L, WRITE_AND_WAIT);
            ignored = (int) Calls.ADVISE.invokeExact(fd, 0L, 0L, FORGET);
            ignored = (int) Calls.CLOSE.invokeExact(fd);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    /// The system's functions, looked up when the first file is dropped or cloned.
    private static final class Calls {
        static final MethodHandle OPEN =
                function("open", ValueLayout.ADDRESS, ValueLayout.JAVA_INT);
        static final MethodHandle CLOSE = function("close", ValueLayout.JAVA_INT);
        static final MethodHandle SYNC =
                function(
                        "sync_file_range",
                        ValueLayout.JAVA_INT,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_INT);
        static final MethodHandle ADVISE =
                function(
                        "posix_fadvise",
                        ValueLayout.JAVA_INT,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_INT);
        static final MethodHandle CLONE = ioctl();
        static final boolean CLONES = Stream.of(OPEN, CLOSE, CLONE).noneMatch(NONE::equals);
        static final boolean READY = Stream.of(OPEN, CLOSE, SYNC, ADVISE).noneMatch(NONE::equals);

        private Calls() {}

        @SuppressWarnings("restricted")
        private static MethodHandle ioctl() {
            return symbol("ioctl")
                    .map(
                            s ->
                                    LINKER.downcallHandle(
                                            s,
                                            FunctionDescriptor.of(
                                                    ValueLayout.JAVA_INT,
                                                    ValueLayout.JAVA_INT,
                                                    ValueLayout.JAVA_LONG,
                                                    ValueLayout.JAVA_INT),
                                            Linker.Option.firstVariadicArg(2)))
                    .orElse(NONE);
        }

        @SuppressWarnings("restricted")
        private static MethodHandle function(String name, MemoryLayout... arguments) {
            return symbol(name)
                    .map(
                            s ->
                                    LINKER.downcallHandle(
                                            s,
                                            FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments)))
                    .orElse(NONE);
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
