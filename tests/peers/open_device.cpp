// Lets PayTec's C++ example open the line of a test instead of its compiled-in device.
// The linker sends its calls of open() here (-Wl,--wrap=open); its source stays as it is.

#include <cstdlib>
#include <cstring>
#include <fcntl.h>

extern "C" int __real_open(const char *path, int flags, ...);

extern "C" int __wrap_open(const char *path, int flags, ...)
{
    const char *device = std::getenv("ZAHLWERK_PEER_DEVICE");

    if (device && !std::strcmp(path, "/dev/ttyUSB0"))
        path = device;

    return __real_open(path, flags, 0);
}
