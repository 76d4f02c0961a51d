{
  'targets': [
    {
      'target_name': 'nfqueue',
      'sources': [
        'native/addon.cc',
        'native/conntrack.cc',
        'native/flow.cc',
        'native/flow-datagram.cc',
        'native/flow-events.cc',
        'native/hasten.cc',
        'native/ipset.cc',
        'native/listeners.cc',
        'native/netlink.cc',
        'native/nfqueue.cc',
        'native/notify.cc',
        'native/packet.cc',
        'native/poller.cc',
        'native/reply-sender.cc',
        'native/reply.cc',
      ],
      # Headers of others are system headers: our warnings are about our code.
      'cflags_cc': [
        '-std=c++17',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-isystem<(module_root_dir)/node_modules/node-addon-api',
        '<!@(pkg-config --cflags libmnl)',
      ],
      'defines': ['NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'libraries': ['<!@(pkg-config --libs libmnl)'],
      'configurations': {
        # For the tests: every run of it is a search for memory errors.
        'Debug': {
          'cflags_cc': ['-fsanitize=address,undefined', '-fno-omit-frame-pointer'],
          'ldflags': ['-fsanitize=address,undefined'],
        },
      },
    },
  ],
}
