/*
 * Topics, as Lua sees them. Part of bind.h, which includes it.
 */
#ifndef LSHM_BIND_TOPIC_H
#define LSHM_BIND_TOPIC_H

/* topic.c, subscriber.c: messages for all who listen */
void bind_topic_options(lua_State *L, int arg, ds_topic_options *options);
int bind_topic_attach(lua_State *L, mem_mapping *mapping, void *at, size_t room);
int bind_topic_fail(lua_State *L, const bind_sync *self, const ds_topic *topic, int error,
                    const char *what, pid_t holder);
int bind_subscriber_push(lua_State *L, const ds_topic *topic, bool oldest);
void bind_subscriber_register(lua_State *L);
void bind_topic_add(lua_State *L);

#endif
