//! Serializers that want nearly nothing: macros that write what they refuse.

/// Methods of a `Serializer` that give an error: by name and the types of the arguments; for those that take a value of any
/// type, behind the trait that it has.
macro_rules! refuse {
    ($error:ty, $refusal:expr; $($method:ident $(<$any:ident>)? ($($ty:ty),*);)*) => {
        $(refuse!(@one $error, $refusal, $method $(<$any>)? ($($ty),*));)*
    };
    (@one $error:ty, $refusal:expr, $method:ident ($($ty:ty),*)) => {
        fn $method(self, $(_: $ty),*) -> Result<(), $error> {
            Err($refusal)
        }
    };
    (@one $error:ty, $refusal:expr, $method:ident <$any:ident> ($($ty:ty),*)) => {
        fn $method<T: $any + ?Sized>(self, $(_: $ty,)* _: &T) -> Result<(), $error> {
            Err($refusal)
        }
    };
}

/// All that has parts.
macro_rules! refuse_compound {
    ($error:ty, $refusal:expr) => {
        refuse_compound! { @each $error, $refusal;
            SerializeSeq serialize_seq(Option<usize>);
            SerializeTuple serialize_tuple(usize);
            SerializeTupleStruct serialize_tuple_struct(&'static str, usize);
            SerializeTupleVariant serialize_tuple_variant(&'static str, u32, &'static str, usize);
            SerializeMap serialize_map(Option<usize>);
            SerializeStruct serialize_struct(&'static str, usize);
            SerializeStructVariant serialize_struct_variant(&'static str, u32, &'static str, usize);
        }
    };
    (@each $error:ty, $refusal:expr; $($part:ident $method:ident($($ty:ty),*);)*) => {
        $(
            type $part = serde::ser::Impossible<(), $error>;

            fn $method(self, $(_: $ty),*) -> Result<Self::$part, $error> {
                Err($refusal)
            }
        )*
    };
}

pub(super) use {refuse, refuse_compound};
